//! The map in real Chromium: marks at every zoom, keys, the way into the gallery and back, a filter, choosing a place, a phone, dark
//! colours, and no scripts.

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::{Browser, KEY_DOWN, KEY_ENTER, Window, browse_in, editing::lines, paint};
use crate::support::{TestDatabase, library::vault, temp_dir};

/// Two cities full of photos, a trip through Norway, one photo far away and one without a place.
const FILL: &str = "
    INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, latitude_deg, longitude_deg, rating, ratio_milli,
        width_px, height_px, picture_key, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule)
    SELECT f.vault_id, f.id, 'IMG_' || n, timestamp '2022-06-01' + n * interval '3 hours', 'EXIF:DateTimeOriginal',
        CASE WHEN n < 300 THEN 47.37 + (n * 37 % 100) / 2500.0 WHEN n < 420 THEN 48.2 + (n * 61 % 100) / 3000.0
            WHEN n < 450 THEN 59.9 + (n - 420) * 0.25 WHEN n = 450 THEN -33.8568 END,
        CASE WHEN n < 300 THEN 8.52 + (n * 53 % 100) / 2000.0 WHEN n < 420 THEN 16.34 + (n * 29 % 100) / 2500.0
            WHEN n < 450 THEN 10.7 + (n - 420) * 0.12 WHEN n = 450 THEN 151.2153 END,
        n % 6, 1333, 64, 48, lpad((n % 6)::text, 32, '0'), 0, 0, '{}', false, true, false, false, 'stem'
    FROM generate_series(0, 451) AS n, folders AS f;
    INSERT INTO pictures (image_id, key, source) SELECT id, picture_key, 'full' FROM images;
    ANALYZE;";

fn look(window: Window, test: impl AsyncFnOnce(&Browser)) {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    vault(&mut conn, "Photos", dir.path());
    conn.batch_execute(FILL).unwrap();
    paint(&mut conn, dir.path());
    while hm::db::places::name_coordinates(&mut conn, 1000).unwrap() > 0 {}
    browse_in(window, &database, dir.path(), test);
}

async fn go(browser: &Browser, path: &str) {
    browser.client.goto(&format!("{}{path}", browser.origin)).await.unwrap();
    browser.until("the map is counted", "return Boolean(document.getElementById('map')?.dataset.ready)").await;
    browser.until("the earth is drawn", DRAWN).await;
}

/// Whether the canvas shows more than one colour.
const DRAWN: &str = "const canvas = document.querySelector('.map-page canvas'); const { width, height } = canvas; if (!width) return false; \
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height); const seen = new Set(); \
    for (let at = 0; at < data.length; at += 4 * 97) seen.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]); return seen.size > 1";

/// Photos of all marks in the window.
const COUNTED: &str = "return [...document.querySelectorAll('.mark:not([hidden])')]\
    .reduce((sum, mark) => sum + Number(mark.getAttribute('aria-label').split(' ')[0].replace(',', '')), 0)";

#[test]
fn marks_hold_every_photo_and_lead_into_the_gallery_and_back() {
    look(Window::Desk, async |browser| {
        go(browser, "/map").await;
        assert_eq!(browser.js(COUNTED).await, json!(451));
        browser
            .until("thumbnails are there", "return [...document.querySelectorAll('.mark img')].every((image) => image.naturalWidth > 0)")
            .await;
        let listed =
            "return document.querySelector('#map-list li b').textContent + ', ' + document.querySelector('#map-count').textContent";
        assert!(browser.js(listed).await.as_str().unwrap().ends_with("451 photos on this part of the map"));
        let too_long = "return document.documentElement.scrollHeight - innerHeight";
        assert_eq!(browser.js(too_long).await, json!(0), "the page scrolls");
        browser.shot("map-world-1440").await;
        // By keys: the stage takes them, and the address follows.
        browser.js("document.querySelector('.map-stage').focus()").await;
        let before = browser.address().await;
        for key in ['+', '+', '\u{e012}'] {
            browser.press(key).await;
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        }
        browser.until("the address says where", "return /^[?]at=[-0-9.]+,[-0-9.]+,[0-9.]+$/.test(location.search)").await;
        assert_ne!(browser.address().await, before);

        go(browser, "/map?at=47.386,8.54,12").await;
        browser.until("towns are near", "return document.querySelectorAll('.mark:not([hidden])').length > 5").await;
        assert_eq!(browser.js(COUNTED).await, json!(300));
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        browser.shot("map-city-1440").await;
        // A large cluster is gone closer to, and going back leads out again.
        go(browser, "/map?at=47.386,8.54,9").await;
        let zoom = "return Number(new URLSearchParams(location.search).get('at').split(',')[2])";
        browser.js("[...document.querySelectorAll('.mark:not([hidden])')].sort((a, b) => parseInt(b.getAttribute('aria-label')) - parseInt(a.getAttribute('aria-label')))[0].focus()").await;
        browser.press(KEY_ENTER).await;
        browser.until("two zooms closer", "return Number(new URLSearchParams(location.search).get('at').split(',')[2]) === 11").await;
        browser.back().await;
        browser.until("out again", "return Number(new URLSearchParams(location.search).get('at').split(',')[2]) === 9").await;
        assert_eq!(browser.js(zoom).await, json!(9));
        // What the list leads to is as many photos as it says, and going back shows the same part of the map.
        go(browser, "/map?q=rating:%3E%3D3&at=47.386,8.54,13").await;
        let first = "const link = document.querySelector('#map-list a'); return [link.textContent.match(/([0-9]+) photos?/)[1], link.href]";
        let first = browser.js(first).await;
        let here = browser.address().await;
        browser.js("document.querySelector('#map-list a').click()").await;
        browser.until("the gallery", "return document.getElementById('timeline')?.dataset.ready === 'yes'").await;
        let counted =
            "return String([...document.querySelectorAll('.day-head .count')].reduce((sum, head) => sum + parseInt(head.textContent), 0))";
        assert_eq!(browser.js(counted).await, first[0], "{}", browser.address().await);
        browser
            .until(
                "a chip names the part",
                "return [...document.querySelectorAll('.chip span')].some((chip) => chip.textContent === 'A part of the map')",
            )
            .await;
        browser.back().await;
        browser.until("the map again", "return Boolean(document.getElementById('map')?.dataset.ready)").await;
        let (base, _) = here.split_once("at=").unwrap();
        assert!(browser.address().await.starts_with(base) && browser.address().await.contains("at=47.38"), "{here}");
    });
}

#[test]
fn a_place_is_chosen_by_pointer_and_by_keys_alone() {
    look(Window::Desk, async |browser| {
        let find = "const done = arguments[0]; fetch('/api/v1/images?gps=no').then((answer) => answer.json()).then((page) => done(page.images[0].id))";
        go(browser, "/map").await;
        let id = browser.client.execute_async(find, vec![]).await.unwrap();
        go(browser, &format!("/map?pick={id}&at=47.3769,8.5417,14")).await;
        browser.until("the place is named", "return document.querySelector('.sheet .name').textContent.startsWith('Zürich')").await;
        assert_eq!(browser.js("return document.activeElement.className").await, json!("map-stage"));
        browser.shot("map-pick-1440").await;
        let click = "const stage = document.querySelector('.map-stage'); const { left, top, width, height } = stage.getBoundingClientRect(); \
            for (const type of ['pointerdown', 'pointerup']) stage.querySelector('canvas').dispatchEvent(new PointerEvent(type, { bubbles: true, \
                pointerId: 1, button: 0, isPrimary: true, clientX: left + width / 2 + 100, clientY: top + height / 2 + 60 }))";
        let coordinates = "return document.querySelector('.sheet .coordinates').textContent";
        let before = browser.js(coordinates).await;
        browser.js(click).await;
        browser.until("the map has moved", &format!("return document.querySelector('.sheet .coordinates').textContent !== {before}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        browser.press(KEY_ENTER).await;
        browser
            .until(
                "back at the photo",
                &format!("return location.pathname === '/images/{id}' && document.querySelector('main > .viewer') !== null"),
            )
            .await;
        let placed = format!(
            "const done = arguments[0]; fetch('/api/v1/images/{id}').then((answer) => answer.json()).then((image) => done([image.gps_latitude, image.gps_longitude, image.gps_place?.country]))"
        );
        let placed = browser.client.execute_async(&placed, vec![]).await.unwrap();
        let (latitude, longitude) = (placed[0].as_f64().unwrap(), placed[1].as_f64().unwrap());
        // 100 and 60 pixels at zoom 14: some 0.0086° east and 0.0035° south.
        assert!((longitude - 8.5503).abs() < 0.0008 && (latitude - 47.3734).abs() < 0.0008, "{placed}");
        assert_eq!(placed[2], json!("Switzerland"));
        browser.press('i').await;
        browser.shot("map-picked-1440").await;
    });
}

/// Nobody has to know where on earth a trip went to, as long as they know what the place is called.
#[test]
fn a_town_is_gone_to_by_its_name() {
    look(Window::Desk, async |browser| {
        go(browser, "/map?pick=1&at=20,0,2").await;
        let is_at = |name: &str| {
            format!(
                "return document.querySelector('.sheet .name').textContent.startsWith('{name}') && document.activeElement.matches('.map-stage')"
            )
        };
        browser.js("document.querySelector('.sheet .find input').focus()").await;
        browser.type_text("trondh").await;
        browser.until("it is offered", "return document.querySelector('.sheet .offered li b')?.textContent === 'Trondheim'").await;
        browser.press(KEY_ENTER).await;
        browser.until("the map is there", &is_at("Trondheim")).await;
        browser.until("as close as a town is large", "return /,12$/.test(new URLSearchParams(location.search).get('at'))").await;
        // The second of several, by keys.
        browser.js("const field = document.querySelector('.sheet .find input'); field.value = ''; field.focus()").await;
        browser.type_text("paris, united").await;
        browser
            .until(
                "there is one in Texas",
                "return document.querySelector('.sheet .offered li span')?.textContent === 'Texas, United States'",
            )
            .await;
        browser.shot("map-towns-1440").await;
        let second = browser.js("return document.querySelectorAll('.sheet .offered li')[1].dataset.value").await;
        browser.press(KEY_DOWN).await;
        browser.press(KEY_DOWN).await;
        browser.press(KEY_ENTER).await;
        browser.until("the second is there", &is_at(second.as_str().unwrap())).await;
        // Enter on the map itself sets the place, as ever.
        browser.press(KEY_ENTER).await;
        browser.until("back at the photo", "return location.pathname === '/images/1'").await;
    });
    look(Window::Phone, async |browser| {
        go(browser, "/map?pick=1&at=20,0,2").await;
        browser.js("document.querySelector('.sheet .find input').focus()").await;
        browser.type_text("bergen").await;
        let is_seen = "const list = document.querySelector('.sheet .offered:not([hidden])')?.getBoundingClientRect(); return list?.height > 40 && list.top > 60 && list.bottom < innerHeight";
        browser.until("the offers are on the screen", is_seen).await;
        browser.shot("map-towns-390").await;
    });
}

#[test]
fn a_phone_shows_the_map_and_its_list_and_takes_fingers() {
    look(Window::Phone, async |browser| {
        go(browser, "/map").await;
        let is_narrow = "return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390";
        assert_eq!(browser.js(is_narrow).await, json!(true));
        assert_eq!(browser.js(COUNTED).await, json!(451));
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        browser.shot("map-390").await;
        let zoom = "return Number((new URLSearchParams(location.search).get('at') ?? ',,0').split(',')[2])";
        browser.until("the address says where", "return location.search.includes('at=')").await;
        let before = browser.js(zoom).await.as_f64().unwrap();
        // Two fingers move apart to three times their distance.
        let pinch = "const stage = document.querySelector('.map-stage'); const canvas = stage.querySelector('canvas'); stage.setPointerCapture = () => {}; \
            const { left, top, width, height } = stage.getBoundingClientRect(); \
            const send = (type, pointerId, apart) => canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId, button: 0, \
                clientX: left + width / 2 + (pointerId === 1 ? -apart : apart), clientY: top + height / 2 })); \
            send('pointerdown', 1, 30); send('pointerdown', 2, 30); \
            for (let apart = 30; apart <= 90; apart += 10) { send('pointermove', 1, apart); send('pointermove', 2, apart); } \
            send('pointerup', 1, 90); send('pointerup', 2, 90)";
        browser.js(pinch).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let after = browser.js(zoom).await.as_f64().unwrap();
        assert!((after - before - 3.0_f64.log2()).abs() < 0.1, "from {before} to {after}");
        browser.js("document.querySelector('[data-act=theme]').click()").await;
        go(browser, "/map?at=47.386,8.54,11").await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        browser.shot("map-city-390-other-theme").await;
        browser.js("scrollTo(0, 500)").await;
        browser.shot("map-list-390-other-theme").await;
        go(browser, "/map?pick=1&at=47.386,8.54,14").await;
        browser.until("the place is named", "return document.querySelector('.sheet .name').textContent.length > 3").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("map-pick-390-other-theme").await;
    });
}

#[test]
fn what_is_selected_is_placed_on_the_map_and_it_is_taken_back() {
    look(Window::Desk, async |browser| {
        let find = "const [gps, done] = arguments; fetch(`/api/v1/images?gps=${gps}&limit=3`).then((answer) => answer.json()).then((page) => \
            done(page.images.map((image) => image.gps_place?.country ?? null)))";
        let countries = async |gps: &str| browser.client.execute_async(find, vec![json!(gps)]).await.unwrap();
        browser.open("/?gps=no").await;
        assert_eq!(countries("no").await, json!([null]));
        browser.click(".tile .pick").await;
        browser.until("it is chosen", "return document.querySelector('.how-many').textContent === '1 selected'").await;
        browser.click("details.more-edits summary").await;
        browser.shot("place-selection-1440").await;
        browser.click("[data-act=place-on-map]").await;
        browser.until("the map", "return Boolean(document.getElementById('map')?.dataset.ready)").await;
        assert_eq!(browser.js("return document.querySelector('.sheet h2').textContent.trim()").await, json!("Where was this photo taken?"));
        go(browser, "/map?gps=no&pick=selection&at=47.3769,8.5417,14").await;
        browser.until("the place is named", "return document.querySelector('.sheet .name').textContent.startsWith('Zürich')").await;
        browser.shot("map-pick-selection-1440").await;
        browser.press(KEY_ENTER).await;
        browser.reaches("/?gps=no").await;
        browser.until("it is said", "return document.querySelector('.done-toast [data-act=undo]') !== null").await;
        assert_eq!(countries("no").await, json!([]), "the photo has its place");
        browser.click(".done-toast [data-act=undo]").await;
        browser.until("taken back", "return [...document.querySelectorAll('.done-toast')].some((toast) => toast.textContent.startsWith('Undone') || toast.textContent.includes('undone'))").await;
        assert_eq!(countries("no").await, json!([null]));
        // Without a selection there is nothing to place.
        browser.client.goto(&format!("{}/map?pick=selection", browser.origin)).await.unwrap();
        browser.reaches("/").await;
    });
}

/// Who knows where a day was spent says so for all its photos at once, by the name of the town and a click on the spot.
#[test]
fn a_day_is_placed_in_a_town_by_its_name_and_it_is_taken_back() {
    const DAY: &str = "SELECT concat_ws(' ', id, coalesce(latitude_deg::text, 'nowhere'), longitude_deg) AS line FROM images \
        WHERE base_name LIKE 'TRIP_%' ORDER BY id";
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    vault(&mut conn, "Photos", dir.path());
    conn.batch_execute(FILL).unwrap();
    conn.batch_execute(
        "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, latitude_deg, longitude_deg, ratio_milli, width_px, \
            height_px, picture_key, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule) \
         SELECT f.vault_id, f.id, 'TRIP_' || n, timestamp '2023-07-14 09:00' + n * interval '40 minutes', 'EXIF:DateTimeOriginal', \
            CASE WHEN n = 3 THEN 1.5 END, CASE WHEN n = 3 THEN 2.5 END, 1333, 64, 48, lpad((n % 6)::text, 32, '0'), 0, 0, '{}', false, true, \
            false, false, 'stem' FROM generate_series(1, 12) AS n, folders AS f; \
         INSERT INTO pictures (image_id, key, source) SELECT id, picture_key, 'full' FROM images WHERE base_name LIKE 'TRIP_%'; ANALYZE;",
    )
    .unwrap();
    paint(&mut conn, dir.path());
    while hm::db::places::name_coordinates(&mut conn, 1000).unwrap() > 0 {}
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        let before = lines(&database, DAY);
        assert_eq!(before.iter().filter(|line| line.ends_with("nowhere")).count(), 11, "{before:?}");
        browser.open("/?at=2023-07-14").await;
        browser.until("the day", "return document.querySelector('.day[data-day=\"2023-07-14\"] .pick-day') !== null").await;
        browser.js("document.querySelector('.day[data-day=\"2023-07-14\"] .pick-day').click()").await;
        browser.until("all of it", "return document.querySelector('.how-many').textContent === '12 selected'").await;
        browser.click("details.more-edits summary").await;
        browser.click("[data-act=place-on-map]").await;
        browser.until("the map", "return Boolean(document.getElementById('map')?.dataset.ready)").await;
        browser
            .until("it asks", "return document.querySelector('.sheet h2').textContent.trim() === 'Where were these 12 photos taken?'")
            .await;
        browser.js("document.querySelector('.sheet .find input').focus()").await;
        browser.type_text("trondheim").await;
        browser.until("it is offered", "return document.querySelector('.sheet .offered li b')?.textContent === 'Trondheim'").await;
        browser.press(KEY_ENTER).await;
        browser.until("the map is there", "return document.querySelector('.sheet .name').textContent.startsWith('Trondheim')").await;
        browser.until("as close as a town is large", "return /,12$/.test(new URLSearchParams(location.search).get('at'))").await;
        // A click on a spot beside the middle moves the map there.
        let coordinates = "return document.querySelector('.sheet .coordinates').textContent";
        let middle = browser.js(coordinates).await;
        let click = "const stage = document.querySelector('.map-stage'); const { left, top, width, height } = stage.getBoundingClientRect(); \
            for (const type of ['pointerdown', 'pointerup']) stage.querySelector('canvas').dispatchEvent(new PointerEvent(type, { bubbles: true, \
                pointerId: 1, button: 0, isPrimary: true, clientX: left + width / 2 + 40, clientY: top + height / 2 - 30 }))";
        browser.js(click).await;
        browser.until("the map has moved", &format!("return document.querySelector('.sheet .coordinates').textContent !== {middle}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        browser.shot("map-pick-day-1440").await;
        browser.click("[data-act=set-place]").await;
        browser
            .until(
                "back in the gallery, where it is said",
                "return location.pathname === '/' && document.querySelector('.done-toast [data-act=undo]') !== null",
            )
            .await;
        let said = browser.js("return document.querySelector('.done-toast').textContent").await;
        assert!(said.as_str().unwrap().starts_with("12 photos: Place"), "{said}");
        let near = "SELECT count(*)::text AS line FROM images WHERE base_name LIKE 'TRIP_%' AND abs(latitude_deg - 63.4305) < 0.04 \
            AND abs(longitude_deg - 10.3951) < 0.08 AND gps_country = 'Norway'";
        assert_eq!(lines(&database, near), ["12"], "within some four kilometres: {:?}", lines(&database, DAY));
        browser.click(".done-toast [data-act=undo]").await;
        browser
            .until("taken back", "return document.querySelector('.done-toast')?.textContent.startsWith('Undone: 12 photos') === true")
            .await;
        assert_eq!(lines(&database, DAY), before);
    });
}

#[test]
fn dark_colours_reach_the_map() {
    look(Window::Desk, async |browser| {
        go(browser, "/map?at=55,12,4").await;
        let corner = "const { data } = document.querySelector('.map-page canvas').getContext('2d').getImageData(3, 3, 1, 1); return data[0] + data[1] + data[2]";
        let light = browser.js(corner).await.as_i64().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        browser.shot("map-europe-1440").await;
        browser.js("document.querySelector('[data-act=theme]').click()").await;
        browser
            .until("repainted", &format!("{} < {light}", corner.replace("return ", "return Math.abs(").replace("data[2]", "data[2])")))
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        browser.shot("map-europe-1440-dark").await;
    });
}

#[test]
fn without_scripts_countries_and_towns_are_links_with_counts() {
    look(Window::NoScripts, async |browser| {
        browser.client.goto(&format!("{}/map", browser.origin)).await.unwrap();
        let first = browser.client.find(fantoccini::Locator::Css(".countries > li > a")).await.unwrap();
        assert_eq!(first.text().await.unwrap().replace('\n', " "), "Switzerland 300 photos");
        browser.shot("map-noscript").await;
        first.click().await.unwrap();
        let tiles = browser.client.find_all(fantoccini::Locator::Css(".tile")).await.unwrap();
        assert!(!tiles.is_empty() && browser.address().await.contains("country"));
    });
}
