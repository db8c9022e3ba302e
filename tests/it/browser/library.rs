//! The library at a glance on a desk and on a phone, light and dark, and by keys alone; and the menu of exports.

use diesel::connection::SimpleConnection;
use fantoccini::Locator;
use serde_json::json;

use super::{Browser, KEY_ENTER, Window, browse_in};
use crate::support::{TestDatabase, library::vault, temp_dir};

const KEY_TAB: char = '\u{e004}';

/// Sixteen cameras, thirty years, and something of everything that stands out.
const FILL: &str = "
    INSERT INTO cameras (make, model, name) SELECT 'M', n::text, (ARRAY['Canon EOS R5', 'NIKON Z 6_2', 'Google Pixel 7 Pro', 'Apple iPhone 14 Pro Max',
        'FUJIFILM X-T5', 'OLYMPUS IMAGING CORP. E-M10 Mark III'])[1 + n % 6] || CASE WHEN n < 6 THEN '' ELSE ' ' || n END FROM generate_series(0, 15) AS n;
    INSERT INTO lenses (name) SELECT 'EF24-105mm f/4L IS USM ' || n FROM generate_series(1, 4) AS n;
    INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, camera_id, lens_id, rating, latitude_deg, longitude_deg,
        keywords, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, is_missing, grouping_rule)
    SELECT f.vault_id, f.id, 'IMG_' || n, timestamp '2026-06-01' - sqrt(n) * interval '95 days', 'EXIF:DateTimeOriginal',
        CASE WHEN n % 11 > 0 THEN 1 + (sqrt(n)::int * 7 + n % 3) % 16 END, CASE WHEN n % 4 > 0 THEN 1 + n % 4 END,
        (ARRAY[NULL, NULL, NULL, NULL, 3, 4, 5, -1, 0, 2])[1 + n % 10], CASE WHEN n % 3 = 0 THEN 48 END, CASE WHEN n % 3 = 0 THEN 11 END,
        CASE WHEN n % 5 = 0 THEN '{lake}'::text[] ELSE '{}' END, 2, 24000000 + n, '{}', n % 2 = 0, n % 7 > 1, true, n % 50 = 0, n % 400 = 0, 'stem'
    FROM generate_series(1, 12000) AS n, folders AS f;
    INSERT INTO backups (kind, host, path, size_bytes, image_count, error, started_at, finished_at) VALUES
        ('manual', 'macbook', '/Volumes/Backup/hm/hm-manual-20261124T180102Z.zip', 48123456, 11890, NULL, now(), now() - interval '2 days'),
        ('nightly', 'macbook', '/Volumes/Backup/hm', NULL, NULL, 'cannot write `/Volumes/Backup/hm/.hm-nightly-20261126T031500Z.zip`: No space left on device (3 MiB are free)', now(), now());
    ANALYZE;";

async fn open(browser: &Browser, path: &str) {
    browser.client.goto(&format!("{}{path}", browser.origin)).await.unwrap();
    browser.until("the strip is there", "return document.querySelector('#status .strip') !== null").await;
}

/// What is on the page stays on the page, whatever its theme.
async fn look(browser: &Browser, name: &str) {
    for theme in ["light", "dark"] {
        browser.js(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
        for (place, script) in
            [("top", "scrollTo(0, 0)"), ("middle", "document.querySelector('.charts').scrollIntoView()"), ("end", "scrollTo(0, 99999)")]
        {
            browser.js(script).await;
            browser.shot(&format!("{name}-{theme}-{place}")).await;
        }
        let wide = "return document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.js(wide).await, json!(false), "{name}-{theme} is wider than its window");
        let spilled = "return [...document.querySelectorAll('.library a, .library td, .library th, .library p')].filter((one) => { \
            const { left, right, width } = one.getBoundingClientRect(); return width > 0 && (left < 0 || right > innerWidth + 1); }).map((one) => one.outerHTML.slice(0, 120))";
        assert_eq!(browser.js(spilled).await, json!([]), "{name}-{theme}");
    }
}

/// Every way to take a search along can be seen and pressed.
async fn open_exports(browser: &Browser, name: &str) {
    browser.open("/?q=rating:5%20type:photo%20-is:missing").await;
    browser.client.find(Locator::Css(".export summary")).await.unwrap().click().await.unwrap();
    browser.shot(name).await;
    let seen = "const links = [...document.querySelectorAll('.export a')]; return links.length > 4 && links.every((link) => { \
        const { left, right, top, bottom } = link.getBoundingClientRect(); \
        return document.elementFromPoint((left + right) / 2, (top + bottom) / 2) === link && left >= 0 && right <= innerWidth; })";
    assert_eq!(browser.js(seen).await, json!(true), "{name}: something lies over the menu, or beyond the window");
}

#[test]
fn the_library_at_a_glance_fits_every_window_and_is_walked_by_keys() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    vault(&mut conn, "Photos", dir.path());
    conn.batch_execute(FILL).unwrap();
    browse_in(Window::Phone, &database, dir.path(), async |browser| {
        open(browser, "/library").await;
        look(browser, "library-390").await;
        browser.looks_right("library-all-390").await;
        let small = "return [...document.querySelectorAll('.figures a, .chart tbody th a, .library summary, .links a, .tabs a')].filter((one) => { \
            const { width, height } = one.getBoundingClientRect(); return height > 0 && height < 40; }).map((one) => one.outerHTML.slice(0, 120))";
        assert_eq!(browser.js(small).await, json!([]), "too small for a finger");
        // As it is drawn: what stands in a drawing shrinks with it.
        let tiny = "return [...document.querySelectorAll('.library *')].filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && \
            node.data.trim()) && one.checkVisibility()).filter((one) => { const scale = one.closest('svg')?.getScreenCTM()?.a ?? 1; \
            return one.tagName !== 'title' && parseFloat(getComputedStyle(one).fontSize) * scale < 12; }).map((one) => one.outerHTML.slice(0, 120))";
        assert_eq!(browser.js(tiny).await, json!([]), "too small to be read");
        open_exports(browser, "export-menu-390").await;
    });
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open(browser, "/library").await;
        look(browser, "library-1440").await;
        browser.looks_right("library-all-1440").await;
        browser.js("scrollTo(0, 0); document.querySelector('.figures a').focus()").await;
        for stop in ["rated", "keywords", "missing", "broken", "duplicate"] {
            browser.press(KEY_TAB).await;
            let here = "return document.activeElement.textContent";
            assert!(browser.js(here).await.as_str().unwrap().contains(stop), "{} is not {stop}", browser.js(here).await);
        }
        for _ in 0..3 {
            browser.press(KEY_TAB).await;
        }
        let point = browser.js("return document.activeElement.getAttribute('aria-label')").await;
        assert!(point.as_str().unwrap().starts_with("until 19"), "the drawing is walked year by year: {point}");
        browser.shot("library-growth-focus").await;
        browser.press(KEY_ENTER).await;
        browser.until("its photos", "return location.pathname === '/' && location.search.startsWith('?q=year%3A%3C%3D')").await;
        browser.until("the timeline lives", "return document.getElementById('timeline')?.dataset.ready === 'yes'").await;

        open_exports(browser, "export-menu-1440").await;
    });
}
