//! The gallery in real Chromium over a library of 20,000: scrolling, jumping, looking, going back, filtering, keys alone, a phone,
//! and no JavaScript. Screenshots go to `target/screenshots`, to be looked at.

mod accounts;
mod days;
mod duplicates;
mod editing;
mod fingers;
mod folders;
mod grouping;
mod library;
mod likeness;
mod looks;
mod map;
mod models;
mod outbox;
mod rate;
mod search;
mod tasks;
mod track;

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use diesel::{PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Binary};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions},
};
use hm::models::{PictureKey, PictureSize};
use serde_json::{Value, json};

use crate::support::{TestDatabase, http::App, library::vault, temp_dir, wait_until};

const KEY_TAB: char = '\u{e004}';
const KEY_SHIFT: char = '\u{e008}';
const KEY_CONTROL: char = '\u{e009}';
const KEY_ENTER: char = '\u{e007}';
const KEY_ESCAPE: char = '\u{e00c}';
const KEY_LEFT: char = '\u{e012}';
const KEY_RIGHT: char = '\u{e014}';
const KEY_DOWN: char = '\u{e015}';

/// 20,000 images over eleven years, 1,200 of them on one day.
const FILL: &str = "
    INSERT INTO cameras (make, model, name) SELECT 'Maker', n::text, 'Camera ' || n FROM generate_series(1, 3) AS n;
    INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, camera_id, ratio_milli, width_px, height_px,
        picture_key, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule)
    SELECT f.vault_id, f.id, 'IMG_' || lpad(n::text, 5, '0'), CASE
            WHEN n < 3000 THEN timestamp '2024-12-31 20:00' - n * interval '5 hours'
            WHEN n < 4200 THEN timestamp '2023-04-10 12:00' - (n - 3000) * interval '10 seconds'
            ELSE timestamp '2023-04-09 20:00' - (n - 4200) * interval '5 hours' END,
        'EXIF:DateTimeOriginal', 1 + n % 3, (ARRAY[1500, 1333, 667, 750, 1778, 1500, 2400])[1 + n * 7919 % 7], 64, 48,
        lpad((n % 6)::text, 32, '0'), 0, 0, '{}', n % 9 = 0, true, false, false, 'stem'
    FROM generate_series(0, 19999) AS n, folders AS f;
    INSERT INTO pictures (image_id, key, source) SELECT id, picture_key, 'full' FROM images;
    ANALYZE;";

/// Six pictures of one colour each, where the server looks for them.
fn paint(conn: &mut PgConnection, thumbs: &Path) {
    let colours = [[190, 60, 50], [60, 120, 190], [70, 150, 80], [210, 170, 70], [130, 90, 160], [90, 90, 95]];
    for (n, [red, green, blue]) in colours.into_iter().enumerate() {
        let key: PictureKey = format!("{n:032}").parse().unwrap();
        let rgb: Vec<u8> = (0..64 * 48).flat_map(|_| [red, green, blue]).collect();
        let rgba: Vec<u8> = (0..32 * 24).flat_map(|_| [red, green, blue, 255]).collect();
        let placeholder = thumbhash::rgba_to_thumb_hash(32, 24, &rgba);
        sql_query(format!("UPDATE pictures SET placeholder = $1 WHERE key = '{key}'"))
            .bind::<Binary, _>(placeholder)
            .execute(conn)
            .unwrap();
        let write = |size, bytes: &[u8]| {
            let path = thumbs.join(key.relative_path(size));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write(PictureSize::Thumbnail, &webp::Encoder::from_rgb(&rgb, 64, 48).encode(80.0));
        let image = turbojpeg::Image { pixels: rgb.as_slice(), width: 64, pitch: 64 * 3, height: 48, format: turbojpeg::PixelFormat::RGB };
        write(PictureSize::Proxy, &turbojpeg::compress(image, 80, turbojpeg::Subsamp::None).unwrap());
    }
}

/// chromedriver, and the browser it holds; both end with the value.
struct Driver {
    process: Child,
    address: String,
}

impl Driver {
    /// Starts one; `None`, with a word on it, where there is no browser and nobody insists.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Command::new("chromedriver").arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match started {
            Ok(process) => {
                wait_until("chromedriver listens", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
                Some(Self { process, address: format!("http://127.0.0.1:{port}") })
            }
            Err(error) => {
                assert!(env::var_os("HM_REQUIRE_BROWSER").is_none(), "HM_REQUIRE_BROWSER is set, and chromedriver cannot start: {error}");
                eprintln!("skipped: chromedriver cannot start ({error}); install chromium and chromium-driver");
                None
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// How the browser looks at the page.
#[derive(Clone, Copy, PartialEq)]
enum Window {
    Desk,
    Phone,
    NoScripts,
}

/// A browser before a server with the library.
struct Browser {
    client: Client,
    origin: String,
}

/// Whether the page that was asked went away before it answered.
fn left_behind(error: &fantoccini::error::CmdError) -> bool {
    format!("{error:?}").contains("aborted by navigation")
}

impl Browser {
    async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.unwrap();
        self.until("the timeline lives", "return document.getElementById('timeline')?.dataset.ready === 'yes'").await;
    }

    async fn js(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Waits until a script returns true.
    async fn until(&self, what: &str, script: &str) {
        for _ in 0..200 {
            match self.client.execute(script, vec![]).await {
                Ok(Value::Bool(true)) => return,
                Err(error) if !left_behind(&error) => panic!("{what}: {error}"),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.shot("failed").await;
        panic!("waited in vain: {what}; at {}", self.address().await);
    }

    /// Goes back in the history. Where to is for the caller to wait for: a page that comes back from the browser's cache answers the
    /// driver's own waiting with an error now and then.
    async fn back(&self) {
        match self.client.back().await {
            Err(error) if !left_behind(&error) => panic!("going back: {error}"),
            _ => {}
        }
    }

    async fn press(&self, key: char) {
        let keys = KeyActions::new("keys".to_owned()).then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.unwrap();
    }

    async fn press_with(&self, modifier: char, key: char) {
        let keys = KeyActions::new("keys".to_owned()).then(KeyAction::Down { value: modifier }).then(KeyAction::Down { value: key });
        let keys = keys.then(KeyAction::Up { value: key }).then(KeyAction::Up { value: modifier });
        self.client.perform_actions(keys).await.unwrap();
    }

    async fn type_text(&self, text: &str) {
        for key in text.chars() {
            self.press(key).await;
        }
    }

    async fn click(&self, selector: &str) {
        self.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
    }

    async fn address(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().trim_start_matches(&self.origin).to_owned()
    }

    /// Waits for an address, without a script.
    async fn reaches(&self, path: &str) {
        for _ in 0..100 {
            if self.address().await == path {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain for {path}; at {}", self.address().await);
    }

    async fn shot(&self, name: &str) {
        let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from).join("screenshots");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Id of the image that has the focus.
    async fn focused(&self) -> Value {
        self.js("return document.activeElement.closest('.tile')?.dataset.id ?? null").await
    }

    async fn has_pictures_on_screen(&self, what: &str) {
        self.until(
            what,
            "const seen = [...document.querySelectorAll('.tile')].filter((tile) => { const { top, bottom } = tile.getBoundingClientRect(); \
                return bottom > 120 && top < innerHeight; }); \
             return seen.length > 3 && seen.every((tile) => tile.querySelector('img')?.naturalWidth > 0 && !tile.matches('.waiting'))",
        )
        .await;
    }
}

/// Runs a test in a window, over the library of 20,000; passes with a word on it where there is no browser.
fn browse(window: Window, test: impl AsyncFnOnce(&Browser)) {
    let (database, dir) = full_library();
    browse_in(window, &database, dir.path(), test);
}

/// The library of 20,000, and where its pictures lie.
fn full_library() -> (TestDatabase, tempfile::TempDir) {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    vault(&mut conn, "Photos", dir.path());
    conn.batch_execute(FILL).unwrap();
    paint(&mut conn, dir.path());
    (database, dir)
}

/// Runs a test in a window, over any library; `thumbs` is where its pictures lie.
fn browse_in(window: Window, database: &TestDatabase, thumbs: &Path, test: impl AsyncFnOnce(&Browser)) {
    browse_at(window, &App::start(database.pool(), thumbs), test);
}

/// Runs a test in a window, before any server.
fn browse_at(window: Window, app: &App, test: impl AsyncFnOnce(&Browser)) {
    let Some(driver) = Driver::start() else { return };
    let profile = temp_dir();
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1440,900",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let mut options = json!({ "args": arguments });
    match window {
        Window::Desk => {}
        Window::Phone => {
            options["mobileEmulation"] = json!({ "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 1, "touch": true } })
        }
        Window::NoScripts => options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 }),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A page that shows a picture nobody makes would be waited for ten seconds: that its scripts ran is enough.
        let strategy = ("pageLoadStrategy".to_owned(), json!("eager"));
        let capabilities = [("goog:chromeOptions".to_owned(), options), strategy].into_iter().collect();
        let client = ClientBuilder::native().capabilities(capabilities).connect(&driver.address).await.expect("Chromium starts");
        let browser = Browser { client: client.clone(), origin: format!("http://{}", app.address) };
        test(&browser).await;
        client.close().await.unwrap();
    });
}

/// Scrolls for some seconds and returns the largest movement of a tile that was not the scrolling itself, in pixels, and the tiles seen.
const WATCH_SCROLLING: &str = "
    const [step, done] = arguments; let held = null; let expected = 0; let worst = 0; const seen = new Set(); let frames = 0;
    const hold = () => { held = [...document.querySelectorAll('.tile')].find((tile) => { const { top, bottom } = tile.getBoundingClientRect(); \
        return top > 150 && bottom < innerHeight - 60; }); expected = held?.getBoundingClientRect().top; };
    const frame = () => {
        for (const tile of document.querySelectorAll('.tile')) seen.add(tile.dataset.id);
        if (held?.isConnected) {
            const { top, bottom } = held.getBoundingClientRect();
            worst = Math.max(worst, Math.abs(top - expected));
            if (top < 100 || bottom > innerHeight - 20) hold();
        } else hold();
        frames += 1;
        if (frames > 120) { done([worst, seen.size]); return; }
        scrollBy({ top: step, behavior: 'instant' });
        if (held) expected -= step;
        requestAnimationFrame(() => setTimeout(frame, 0));
    };
    frame();";

#[test]
fn scrolling_far_moves_nothing_that_is_looked_at() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        browser.shot("gallery-1440").await;
        for (start, step) in [("/?at=2021-06-15", -45), ("/?at=2023-04-10", 60), ("/", 60)] {
            browser.open(start).await;
            browser.has_pictures_on_screen(start).await;
            let watched = browser.client.execute_async(WATCH_SCROLLING, vec![json!(step)]).await.unwrap();
            let (worst_px, seen) = (watched[0].as_f64().unwrap(), watched[1].as_u64().unwrap());
            assert!(worst_px <= 1.0, "from {start} by {step}: a tile moved by {worst_px} px");
            assert!(seen > 60, "from {start} by {step}: only {seen} tiles were seen");
            let mounted = browser.js("return document.querySelectorAll('.tile').length").await.as_u64().unwrap();
            assert!(mounted < 1_500, "{mounted} tiles are on the page at once");
        }
    });
}

#[test]
fn the_scrubber_jumps_to_any_year_by_pointer_and_keys() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        let years = "return [...document.querySelectorAll('.scrubber .year')].map((year) => year.textContent).join(' ')";
        assert!(browser.js(years).await.as_str().unwrap().starts_with("2024 2023 2022"));
        let click = "const year = [...document.querySelectorAll('.scrubber .year')].find((year) => year.textContent === '2018'); \
            const { left, top, height } = year.getBoundingClientRect(); return [Math.round(left), Math.round(top + height / 2) + 2]";
        let place = browser.js(click).await;
        let at = |name: &str| json!({ "type": name, "pointerId": 1, "isPrimary": true, "button": 0, "clientX": place[0], "clientY": place[1], "bubbles": true });
        for name in ["pointerdown", "pointerup"] {
            let script = "const scrubber = document.querySelector('.scrubber'); scrubber.setPointerCapture = () => {}; \
                scrubber.dispatchEvent(new PointerEvent(arguments[0].type, arguments[0]))";
            browser.client.execute(script, vec![at(name)]).await.unwrap();
        }
        browser.has_pictures_on_screen("the pictures of 2018").await;
        let top = "const [day] = [...document.querySelectorAll('.day')].filter((day) => day.getBoundingClientRect().bottom > 130); return day.dataset.day";
        let day = browser.js(top).await;
        assert!(day.as_str().unwrap().starts_with("2018") || day.as_str().unwrap().starts_with("2019-01"), "{day}");
        browser.until("the address says where", "return /at=201[89]/.test(location.search)").await;
        let text = "return document.querySelector('[role=slider]').getAttribute('aria-valuetext')";
        assert!(browser.js(text).await.as_str().unwrap().contains("201"));
        browser.press('y').await;
        browser
            .until("a year further", "return document.querySelector('[role=slider]').getAttribute('aria-valuetext') === 'December 2017'")
            .await;
        browser.has_pictures_on_screen("the pictures of 2017").await;
        browser.shot("scrubber-2017").await;
    });
}

#[test]
fn the_viewer_gives_back_place_and_focus() {
    browse(Window::Desk, async |browser| {
        browser.open("/?at=2022-03-05").await;
        browser.has_pictures_on_screen("March 2022").await;
        let opened = browser
            .js("const tile = [...document.querySelectorAll('.tile')].find((tile) => tile.getBoundingClientRect().top > 250); \
                 tile.querySelector('a').focus({ preventScroll: true }); return tile.dataset.id")
            .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let before = (browser.js("return scrollY").await, browser.address().await);
        browser.press(KEY_ENTER).await;
        let shows = |id: &Value| {
            format!(
                "return document.querySelector('dialog[open] .viewer .proxy.ready') !== null && location.pathname === '/images/{}'",
                id.as_str().unwrap()
            )
        };
        browser.until("the viewer is open", &shows(&opened)).await;
        let is_inside = "return document.querySelector('dialog.over').contains(document.activeElement)";
        assert_eq!(browser.js(is_inside).await, json!(true), "the focus is not in the viewer");
        browser.shot("viewer-1440").await;
        browser.press(KEY_RIGHT).await;
        browser.until("an older picture", &format!("return location.pathname !== '/images/{}'", opened.as_str().unwrap())).await;
        browser.press(KEY_LEFT).await;
        browser.until("back at the first", &shows(&opened)).await;
        browser.press('i').await;
        browser.until("the facts are shown", "return document.querySelector('dialog .facts').getBoundingClientRect().width > 200").await;
        browser.shot("facts-1440").await;
        browser.press('i').await;
        browser.press('z').await;
        browser.until("closer", "return document.querySelector('dialog .frame').style.transform.includes('scale')").await;
        browser.press(KEY_ESCAPE).await;
        browser.until("the viewer is shut", "return !document.querySelector('dialog.over').open").await;
        assert_eq!((browser.js("return scrollY").await, browser.address().await), before);
        assert_eq!(browser.focused().await, opened);
        browser.client.forward().await.unwrap();
        browser.until("open again by going forward", &shows(&opened)).await;
        browser.client.back().await.unwrap();
        browser.until("shut again by going back", "return !document.querySelector('dialog.over').open").await;
        assert_eq!((browser.js("return scrollY").await, browser.address().await), before);
        browser.client.goto(&format!("{}/images/{}", browser.origin, opened.as_str().unwrap())).await.unwrap();
        browser.until("the picture's own page", "return document.querySelector('main > .viewer .proxy.ready') !== null").await;
        browser.press(KEY_ESCAPE).await;
        browser.until("the gallery at its day", "return location.pathname === '/' && location.search.includes('at=2022-03-0')").await;
    });
}

#[test]
fn filters_narrow_the_gallery_and_chips_widen_it() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        browser.client.find(Locator::Css("details.filters summary")).await.unwrap().click().await.unwrap();
        browser
            .until("the choices are counted", "return document.querySelector('.filters select[name=camera]')?.options.length === 4")
            .await;
        browser.shot("filters-1440").await;
        let choose = "const select = document.querySelector('.filters select[name=camera]'); select.value = 'Camera 2'; \
            return select.selectedOptions[0].textContent";
        assert_eq!(browser.js(choose).await, json!("Camera 2 (6,667)"));
        browser.client.find(Locator::Css(".filters button[type=submit]")).await.unwrap().click().await.unwrap();
        browser
            .until("only that camera", "return location.search === '?camera=Camera%202' || location.search === '?camera=Camera+2'")
            .await;
        browser.until("the timeline lives", "return document.getElementById('timeline')?.dataset.ready === 'yes'").await;
        browser.has_pictures_on_screen("its pictures").await;
        let every_third = "return [...document.querySelectorAll('.tile')].every((tile) => Number(tile.dataset.name.slice(4)) % 3 === 1)";
        assert_eq!(browser.js(every_third).await, json!(true));
        browser.client.find(Locator::Css(".chip")).await.unwrap().click().await.unwrap();
        browser.until("all photos", "return location.pathname === '/' && !location.search.includes('camera')").await;
    });
}

#[test]
fn everything_is_reached_by_keys_alone() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        browser.press(KEY_RIGHT).await;
        let first = browser.focused().await;
        browser.press(KEY_RIGHT).await;
        let second = browser.focused().await;
        browser.press(KEY_DOWN).await;
        let third = browser.focused().await;
        assert!(first != second && second != third && third != Value::Null, "{first} {second} {third}");
        for _ in 0..12 {
            browser.press(KEY_DOWN).await;
        }
        assert!(browser.js("return scrollY").await.as_f64().unwrap() > 500.0, "the page does not follow the focus");
        let is_seen = "const { top, bottom } = document.activeElement.getBoundingClientRect(); return top >= 60 && bottom <= innerHeight";
        assert_eq!(browser.js(is_seen).await, json!(true));
        browser.press(' ').await;
        browser.press(KEY_RIGHT).await;
        browser.press(' ').await;
        browser.until("two are chosen", "return document.querySelector('.how-many').textContent === '2 selected' && !document.querySelector('#selection [data-act=merge]').disabled").await;
        browser.shot("selection-1440").await;
        browser.press(KEY_ESCAPE).await;
        browser.until("none is chosen", "return getComputedStyle(document.querySelector('.selection')).display === 'none'").await;
        browser.press('?').await;
        browser
            .until(
                "the keys are listed",
                "return document.getElementById('help').open && document.getElementById('help').contains(document.activeElement)",
            )
            .await;
        browser.shot("keys-1440").await;
        browser.press(KEY_ESCAPE).await;
        browser.press('g').await;
        browser.until("a date is asked for", "return document.activeElement.id === 'go-to-date'").await;
        browser.js("document.activeElement.value = '2020-05-01'; document.activeElement.form.requestSubmit()").await;
        browser.has_pictures_on_screen("May 2020").await;
        browser.until("the place is in the address", "return location.search.includes('at=2020-05-01')").await;
        browser.press('/').await;
        browser.until("the search has the focus", "return document.activeElement.id === 'search'").await;
    });
}

#[test]
fn a_phone_shows_it_all_without_scrolling_sideways() {
    browse(Window::Phone, async |browser| {
        let is_narrow = "return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390";
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("gallery-390").await;
        browser.client.find(Locator::Css("[data-act=theme]")).await.unwrap().click().await.unwrap();
        let theme = browser.js("return document.documentElement.dataset.theme").await;
        browser.open("/?at=2021-01-01").await;
        browser.has_pictures_on_screen("2021").await;
        assert_eq!(browser.js("return document.documentElement.dataset.theme").await, theme, "the theme is forgotten");
        browser.shot("gallery-390-other-theme").await;
        browser.client.find(Locator::Css("details.filters summary")).await.unwrap().click().await.unwrap();
        browser.until("the sheet is filled", "return document.querySelectorAll('.filters select').length > 5").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("filters-390").await;
        browser.js("document.querySelector('details.filters').open = false; document.querySelector('.tile > a').click()").await;
        browser.until("the viewer is open", "return document.querySelector('dialog[open] .proxy.ready') !== null").await;
        browser.client.find(Locator::Css("dialog [data-act=facts]")).await.unwrap().click().await.unwrap();
        browser
            .until("the facts rise from below", "return document.querySelector('dialog .facts').getBoundingClientRect().height > 150")
            .await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("facts-390").await;
        for path in ["/folders", "/filters", "/images/1", "/nowhere"] {
            browser.client.goto(&format!("{}{path}", browser.origin)).await.unwrap();
            assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth").await, json!(true), "{path}");
        }
    });
}

#[test]
fn without_javascript_pictures_show_and_links_lead_on() {
    browse(Window::NoScripts, async |browser| {
        let client = &browser.client;
        client.goto(&browser.origin).await.unwrap();
        let tile = client.find(Locator::Css(".tile img")).await.unwrap();
        assert_eq!(tile.css_value("opacity").await.unwrap(), "1");
        assert!(!client.find(Locator::Css(".theme")).await.unwrap().is_displayed().await.unwrap());
        browser.shot("no-scripts").await;
        client.find(Locator::Css(".pager [rel=next]")).await.unwrap().click().await.unwrap();
        assert!(browser.address().await.starts_with("/?after="), "{}", browser.address().await);
        client.find(Locator::Css(".tile > a")).await.unwrap().click().await.unwrap();
        assert!(browser.address().await.starts_with("/images/"), "{}", browser.address().await);
        assert!(client.find(Locator::Css(".facts h2")).await.unwrap().is_displayed().await.unwrap());
        browser.shot("no-scripts-image").await;
    });
}

#[test]
fn placeholders_are_decoded_to_the_colours_they_were_made_of() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        let (width, height) = (30, 20);
        let rgba: Vec<u8> =
            (0..width * height).flat_map(|n| if n % width < width / 2 { [220, 40, 40, 255] } else { [40, 60, 220, 255] }).collect();
        let hash = thumbhash::rgba_to_thumb_hash(width, height, &rgba);
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let script = "const [digits, done] = arguments; const script = document.querySelector('script[type=module]').src; \
            import(new URL('thumbhash.js', script)).then(({ bytesOf, decode }) => { const { width, height, rgb } = decode(bytesOf(digits)); \
            done([width, height, Array.from(rgb)]); })";
        let decoded = browser.client.execute_async(script, vec![json!(digits)]).await.unwrap();
        let (decoded_width, decoded_height) = (decoded[0].as_u64().unwrap() as usize, decoded[1].as_u64().unwrap() as usize);
        let pixels: Vec<f64> = decoded[2].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let (expected_width, expected_height, expected) = thumbhash::thumb_hash_to_rgba(&hash).unwrap();
        assert_eq!(pixels.len(), decoded_width * decoded_height * 3);
        // The same place in both pictures, which are of different sizes, has nearly the same colour.
        for (across, down) in [(0.1, 0.2), (0.3, 0.8), (0.7, 0.2), (0.9, 0.8)] {
            let at = |width: usize, height: usize| (down * height as f64) as usize * width + (across * width as f64) as usize;
            let (ours, theirs) = (at(decoded_width, decoded_height) * 3, at(expected_width, expected_height) * 4);
            for channel in 0..3 {
                let difference = (pixels[ours + channel] - f64::from(expected[theirs + channel])).abs();
                assert!(difference < 40.0, "at {across} {down}: {:?} against {:?}", &pixels[ours..ours + 3], &expected[theirs..theirs + 3]);
            }
        }
    });
}
