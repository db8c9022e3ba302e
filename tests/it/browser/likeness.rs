//! What is seen in a picture, toggled by key and lit by pointer, focus and finger; and pictures in the order of likeness, scrolled, opened and
//! come back to.

use std::{fs, path::Path};

use diesel::PgConnection;
use hm::models::{
    FolderId, ImageId, Orientation, PictureKey, PictureSize,
    task::Found,
    vision::{BoundingBox, Mask},
};
use serde_json::json;

use super::{Browser, KEY_ENTER, KEY_ESCAPE, KEY_RIGHT, Window, browse_at, browse_in};
use crate::support::{
    TestDatabase, has_vectors,
    http::App,
    library::{folder, image, vault},
    media::{Jpeg, write},
    temp_dir,
    toy::{asking, detect, embed},
};

/// Writes the pictures of an image whose upright pixels are these.
fn paint(thumbs: &Path, key: &str, jpeg: &Jpeg) {
    let key: PictureKey = key.parse().unwrap();
    write(&thumbs.join(key.relative_path(PictureSize::Proxy)), &jpeg.encode());
    write(&thumbs.join(key.relative_path(PictureSize::Thumbnail)), &jpeg.encode());
}

fn key(number: u32) -> String {
    format!("{number:032x}")
}

/// A photo of 960 × 640 with a red patch, in which a network sees a round thing, a thing on the patch and a far one without a mask.
fn one_photo(conn: &mut PgConnection, folder: FolderId, thumbs: &Path) -> ImageId {
    let id = image("IMG_1").picture(&key(1)).insert(conn, folder);
    paint(thumbs, &key(1), &Jpeg::new(960, 640).patch([480, 320, 720, 480]));
    let (width, height) = (960, 640);
    let disk: Vec<bool> = (0..width * height)
        .map(|at| {
            let (x, y) = (f64::from(at % width) - 250.0, f64::from(at / width) - 220.0);
            (40.0 * 40.0..130.0 * 130.0).contains(&(x * x + y * y))
        })
        .collect();
    let disk = Mask::of_bitmap(width, height, &disk).unwrap();
    let patch: Vec<bool> = (0..width * height).map(|at| (480..720).contains(&(at % width)) && (320..480).contains(&(at / width))).collect();
    let patch = Mask::of_bitmap(width, height, &patch).unwrap();
    let found = |label: &str, score, bounds, mask| Found { label: label.into(), score, bounds, mask };
    let far = BoundingBox { left_px: 780.0, top_px: 60.0, right_px: 900.0, bottom_px: 180.0 };
    let regions = vec![
        found("donut", 0.94, disk.bounds().unwrap(), Some(disk)),
        found("truck", 0.81, patch.bounds().unwrap(), Some(patch)),
        found("kite", 0.37, far, None),
    ];
    detect(conn, id, (width, height), regions);
    id
}

/// How far, in pixels of the screen, a shape's edges lie from where they belong in the picture.
fn off(label: &str, [left, top, right, bottom]: [f64; 4]) -> String {
    format!(
        "const shape = [...document.querySelectorAll('.drawn .region')].find((one) => one.querySelector('title').textContent === '{label}')\
            .querySelector('path, rect').getBoundingClientRect(); \
         const box = document.querySelector('.stage .box .proxy').getBoundingClientRect(); const scale = box.width / 960; \
         const zoom = box.width / document.querySelector('.stage .box').offsetWidth; \
         return Math.max(Math.abs(shape.left - box.left - {left} * scale), Math.abs(shape.top - box.top - {top} * scale), \
            Math.abs(shape.right - box.left - {right} * scale), Math.abs(shape.bottom - box.top - {bottom} * scale)) / zoom"
    )
}

async fn are_in_place(browser: &Browser, when: &str) {
    for (label, sides) in
        [("donut", [120.0, 90.0, 380.0, 350.0]), ("truck", [480.0, 320.0, 720.0, 480.0]), ("kite", [780.0, 60.0, 900.0, 180.0])]
    {
        let off = browser.js(&off(label, sides)).await.as_f64().unwrap();
        assert!(off < 2.5, "{when}: the {label} is drawn {off} px from its place");
    }
}

/// Opens the only photo over the gallery.
async fn open_photo(browser: &Browser) {
    browser.open("/").await;
    browser.js("document.querySelector('.tile > a').focus()").await;
    browser.press(KEY_ENTER).await;
    browser
        .until(
            "the picture is here",
            "return document.querySelector('dialog[open] .proxy.ready') !== null && document.querySelector('dialog .over-bar') !== null",
        )
        .await;
}

const HAS_DRAWN: &str = "return document.querySelectorAll('.viewer .drawn .region').length === 3";
const LIT: &str = "return document.querySelector('.viewer .drawn .region.lit title')?.textContent ?? null";

#[test]
fn what_is_in_a_picture_is_shown_by_a_key_lit_by_focus_and_right_at_any_zoom() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    let root = vault(&mut conn, "Photos", dir.path());
    let folder = folder(&mut conn, root, "2019");
    one_photo(&mut conn, folder, dir.path());
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open_photo(browser).await;
        browser.press('m').await;
        browser.until("three regions are drawn", HAS_DRAWN).await;
        are_in_place(browser, "whole").await;
        browser.press('i').await;
        browser
            .until(
                "the list is in the panel",
                "return document.querySelectorAll('.facts .regions li').length === 3 && document.querySelector('.facts').offsetWidth > 0",
            )
            .await;
        are_in_place(browser, "beside the panel").await;
        browser.shot("regions-1440").await;
        browser.js("document.querySelector('.regions button').focus()").await;
        assert_eq!(browser.js(LIT).await, json!("donut"));
        browser.js("document.querySelectorAll('.regions button')[1].focus()").await;
        assert_eq!(browser.js(LIT).await, json!("truck"));
        browser.press(KEY_ENTER).await;
        browser.js("document.activeElement.blur()").await;
        assert_eq!(browser.js(LIT).await, json!("truck"), "what was chosen stays lit");
        let told = "return document.querySelector('.region-told').textContent";
        assert_eq!(browser.js(told).await, json!("truck81 %More like this"));
        browser.shot("regions-lit-1440").await;

        for _ in 0..4 {
            browser.press('+').await;
        }
        browser.until("it is enlarged", "return document.querySelector('.frame').style.transform.includes('scale')").await;
        are_in_place(browser, "enlarged").await;
        browser.shot("regions-zoomed-1440").await;
        // Editing replaces the panel, and the list stays in it.
        browser.press('z').await;
        browser.press('4').await;
        browser.until("it is rated", "return document.querySelector('.facts').dataset.rating === '4'").await;
        browser.until("the list is still there", "return document.querySelectorAll('.facts .regions li').length === 3").await;
        assert_eq!(
            browser.js("return document.querySelector('.regions li a').getAttribute('href')").await,
            browser.js("return '/?q=like%3Aregion%3A' + document.querySelector('.regions li').dataset.region").await
        );

        browser.press('m').await;
        browser.until("nothing is drawn", "return !document.querySelector('.drawn') && !document.querySelector('.regions li')").await;
        browser.press('m').await;
        browser.until("three regions again", HAS_DRAWN).await;
        browser.press('?').await;
        browser
            .until(
                "the key is in the help",
                "return [...document.querySelectorAll('#help .keys div')].some((line) => line.textContent === 'What is in the picturem')",
            )
            .await;
    });
}

#[test]
fn on_a_phone_a_button_shows_it_and_a_finger_lights_it() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    let root = vault(&mut conn, "Photos", dir.path());
    let folder = folder(&mut conn, root, "2019");
    one_photo(&mut conn, folder, dir.path());
    browse_in(Window::Phone, &database, dir.path(), async |browser| {
        open_photo(browser).await;
        browser.press('m').await;
        browser.until("by the key, too", HAS_DRAWN).await;
        browser.press('m').await;
        browser.click("dialog [data-act=regions]").await;
        browser.until("three regions are drawn", HAS_DRAWN).await;
        assert_eq!(browser.js("return document.querySelector('[data-act=regions]').getAttribute('aria-pressed')").await, json!("true"));
        are_in_place(browser, "on a phone").await;
        let tap = "const { left, top, width, height } = [...document.querySelectorAll('.drawn .region')].find((one) => one.textContent === 'truck').querySelector('path').getBoundingClientRect(); \
            return document.elementFromPoint(left + width / 2, top + height / 2).closest('[data-region]')?.querySelector('title').textContent ?? null";
        assert!(browser.js(tap).await.is_string(), "no region takes the finger");
        let click = "const { left, top, width, height } = [...document.querySelectorAll('.drawn .region')].find((one) => one.textContent === 'truck').querySelector('path').getBoundingClientRect(); \
            const [clientX, clientY] = [left + width / 2, top + height / 2]; \
            const stage = document.querySelector('.stage'); \
            for (const kind of ['pointerdown', 'pointerup', 'click']) stage.dispatchEvent(new PointerEvent(kind, { clientX, clientY, bubbles: true }))";
        browser.js(click).await;
        assert_eq!(browser.js(LIT).await, json!("truck"));
        let inside = "const { left, right } = document.querySelector('.region-told').getBoundingClientRect(); \
            return left >= 0 && right <= innerWidth && document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.js(inside).await, json!(true));
        browser.shot("regions-390").await;
        browser.click("dialog [data-act=facts]").await;
        browser.until("the list rises from below", "return document.querySelectorAll('dialog .facts .regions li').length === 3 && document.querySelector('dialog .facts').getBoundingClientRect().height > 150").await;
        browser.js("document.querySelector('dialog .regions').scrollIntoView()").await;
        browser.shot("regions-list-390").await;
    });
}

/// Whether the picture's pixels are red in the middle of the drawn shape and blue around it, for the picture of this class: what the browser
/// shows of the file, its way up followed.
fn is_red_where_drawn(class: &str) -> String {
    format!(
        "const img = document.querySelector('.stage .box .{class}'); \
         const shape = document.querySelector('.drawn .region rect').getBoundingClientRect(); const place = img.getBoundingClientRect(); \
         const canvas = document.createElement('canvas'); canvas.width = img.naturalWidth; canvas.height = img.naturalHeight; \
         const context = canvas.getContext('2d'); context.drawImage(img, 0, 0); \
         const at = (x, y) => context.getImageData(Math.floor((x - place.left) / place.width * canvas.width), \
            Math.floor((y - place.top) / place.height * canvas.height), 1, 1).data; \
         const isRed = ([red, , blue]) => red > 150 && blue < 100; \
         const places = (share) => [[-1, -1], [1, -1], [-1, 1], [1, 1]].map(([across, down]) => at(shape.left + shape.width / 2 * (1 + across * share), \
            shape.top + shape.height / 2 * (1 + down * share))); \
         return [places(0.8).every(isRed), places(1.25).some(isRed), canvas.width, canvas.height]"
    )
}

#[test]
fn drawings_lie_on_what_they_are_of_whichever_way_up_the_file_is_stored() {
    const STORED: (usize, usize) = (384, 256);
    let stored = BoundingBox { left_px: 48.0, top_px: 32.0, right_px: 144.0, bottom_px: 96.0 };
    let sides = |bounds: &BoundingBox| [bounds.left_px, bounds.top_px, bounds.right_px, bounds.bottom_px].map(|side| side as usize);
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    let root = vault(&mut conn, "Photos", dir.path());
    let folder = folder(&mut conn, root, "2019");
    let mut images = Vec::new();
    for exif in 1..=8_u8 {
        let orientation = Orientation::try_from(exif).unwrap();
        let upright = stored.turned(orientation, STORED.0 as u32, STORED.1 as u32);
        let (width, height) = if exif < 5 { STORED } else { (STORED.1, STORED.0) };
        let name = format!("IMG_{exif}.JPG");
        // The file as a camera stores it, the proxy as hm makes it, and what a network saw in a picture of another size.
        Jpeg::new(STORED.0, STORED.1).patch(sides(&stored)).orientation(exif.into()).write(&dir.path().join("2019").join(&name));
        let mut one = image(&format!("IMG_{exif}")).picture(&key(exif.into())).file(&name, "jpeg", "ORIGINAL");
        one.captured_at = format!("2019-08-03 12:0{exif}:00");
        let id = one.insert(&mut conn, folder);
        diesel::RunQueryDsl::execute(
            diesel::sql_query(format!(
                "UPDATE images SET ratio_milli = {}, width_px = {width}, height_px = {height} WHERE id = {id}",
                width * 1000 / height
            )),
            &mut conn,
        )
        .unwrap();
        let half = |side: usize| side / 2;
        let proxy = upright.scaled(0.5, 0.5);
        paint(dir.path(), &key(exif.into()), &Jpeg::new(half(width), half(height)).patch(sides(&proxy)));
        let seen = upright.scaled(0.75, 0.75);
        let frame = (width as u32 * 3 / 4, height as u32 * 3 / 4);
        detect(&mut conn, id, frame, vec![Found { label: "sign".into(), score: 0.9, bounds: seen, mask: None }]);
        images.push((exif, id, width, height));
    }
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        for (exif, id, width, height) in images {
            browser.client.goto(&format!("{}/images/{id}", browser.origin)).await.unwrap();
            browser.until("the picture is here", "return document.querySelector('.proxy.ready') !== null").await;
            if exif == 1 {
                browser.press('m').await;
            }
            browser.until("the region is drawn", "return document.querySelectorAll('.drawn .region rect').length === 1").await;
            let (half_width, half_height) = (width / 2, height / 2);
            assert_eq!(
                browser.js(&is_red_where_drawn("proxy")).await,
                json!([true, false, half_width, half_height]),
                "proxy, way up {exif}"
            );
            browser.press('z').await;
            browser.until("the file itself is here", "return document.querySelector('.original.ready') !== null").await;
            assert_eq!(browser.js(&is_red_where_drawn("original")).await, json!([true, false, width, height]), "original, way up {exif}");
            if exif == 6 {
                browser.shot("regions-way-up-6-1440").await;
            }
        }
    });
}

#[test]
fn pictures_like_something_are_scrolled_opened_and_come_back_to() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    if !has_vectors(&mut conn) {
        return;
    }
    let root = vault(&mut conn, "Photos", dir.path());
    let folder = folder(&mut conn, root, "2019");
    for (number, patch) in [(1, [0, 0, 48, 32]), (2, [0, 0, 24, 32]), (3, [0, 0, 8, 32])] {
        paint(dir.path(), &key(number), &Jpeg::new(48, 32).patch(patch));
    }
    for number in 0..320_u32 {
        let mut one = image(&format!("IMG_{number}")).picture(&key(1 + number / 107)).at(&format!(
            "2019-08-03 {:02}:{:02}:00",
            number / 60,
            number % 60
        ));
        one.words = format!("IMG_{number} {}", if number == 300 { "red" } else { "lake" });
        let id = one.insert(&mut conn, folder);
        embed(&mut conn, id, [1.0, 0.05 + number as f32 / 100.0, 0.05]);
    }
    fs::create_dir_all(dir.path().join("2019")).unwrap();
    let (ask, _) = asking();
    let app = App::start_as(database.pool(), dir.path(), None, move |state| state.with_ask(ask));
    browse_at(Window::Desk, &app, async |browser| {
        // Words mean texts, and what pictures show stands above.
        browser.open("/?q=red").await;
        browser.until("the best are above", "return document.querySelectorAll('.best li img').length === 12").await;
        browser
            .until(
                "their pictures are here",
                "return [...document.querySelectorAll('.best img')].slice(0, 5).every((img) => img.naturalWidth > 0)",
            )
            .await;
        assert_eq!(browser.js("return document.querySelectorAll('#timeline .tile').length").await, json!(1));
        browser.shot("best-row-1440").await;
        browser.click(".best h2 a").await;
        browser.until("the order is here", "return document.getElementById('ranked')?.dataset.ready === 'yes'").await;
        browser.has_pictures_on_screen("the most alike").await;
        assert_eq!(browser.js("return document.querySelector('.tile').dataset.name").await, json!("IMG_0"));
        browser.looks_right("ranked-1440").await;

        // To the end, by keys and by scrolling; no picture twice.
        browser.press(KEY_RIGHT).await;
        browser.press(KEY_RIGHT).await;
        let second = browser.focused().await;
        assert_eq!(browser.js("return document.querySelectorAll('.tile')[1].dataset.id").await, second);
        for _ in 0..8 {
            browser.js("scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' })").await;
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        browser.until("all are here", "return document.querySelectorAll('.tile').length === 320").await;
        let names = "const names = [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.name); return [new Set(names).size, names[319]]";
        assert_eq!(browser.js(names).await, json!([320, "IMG_319"]));

        // Into a picture and on in the order, back to the very place.
        browser.js("document.querySelector('.tile[data-name=IMG_200]').scrollIntoView({ block: 'center' })").await;
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let top = browser.js("return Math.round(scrollY)").await;
        browser.js("document.querySelector('.tile[data-name=IMG_200] > a').focus({ preventScroll: true })").await;
        browser.press(KEY_ENTER).await;
        browser.until("the viewer is open", "return document.querySelector('dialog[open] .viewer')?.dataset.name === 'IMG_200' && document.querySelector('dialog .turn.older') !== null").await;
        browser.press(KEY_RIGHT).await;
        browser.until("the next in the order", "return document.querySelector('dialog .viewer')?.dataset.name === 'IMG_201'").await;
        browser.press(KEY_ESCAPE).await;
        browser.until("the viewer is shut", "return !document.querySelector('dialog[open]')").await;
        assert_eq!(browser.js("return Math.round(scrollY)").await, top);
        browser.client.goto(&format!("{}/library", browser.origin)).await.unwrap();
        browser.back().await;
        browser
            .until(
                "the place is found again",
                &format!("return document.getElementById('ranked')?.dataset.ready === 'yes' && Math.abs(scrollY - {top}) < 3"),
            )
            .await;

        // All that is here is selected, and no more.
        browser.js("scrollTo({ top: 0, behavior: 'instant' })").await;
        browser.press(KEY_RIGHT).await;
        browser.press(' ').await;
        browser.until("one is chosen", "return document.querySelector('.how-many').textContent === '1 selected'").await;
        browser.press_with(super::KEY_CONTROL, 'a').await;
        browser.until("all that are here", "return document.querySelector('.how-many').textContent === '320 selected'").await;
    });
    browse_at(Window::Phone, &app, async |browser| {
        browser.client.goto(&format!("{}/?q=like:red", browser.origin)).await.unwrap();
        browser.until("the order is here", "return document.getElementById('ranked')?.dataset.ready === 'yes'").await;
        browser.has_pictures_on_screen("the most alike").await;
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth").await, json!(true));
        browser.looks_right("ranked-390").await;
        // By a picture, and beside another condition.
        browser.client.goto(&format!("{}/?q=like:image:1%20lake", browser.origin)).await.unwrap();
        browser.until("the order is here", "return document.getElementById('ranked')?.dataset.ready === 'yes'").await;
        browser.has_pictures_on_screen("the most alike").await;
        browser.looks_right("ranked-like-picture-390").await;
    });
}
