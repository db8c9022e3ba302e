//! Small days side by side: where they stand, with and without scripts, and how one walks, jumps and chooses among them.

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::{Browser, KEY_ENTER, KEY_ESCAPE, KEY_RIGHT, Window, browse_in, paint};
use crate::support::{TestDatabase, library::vault, temp_dir};

/// 1,500 days of one, two or three images, and one of forty.
const FILL: &str = "
    INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, ratio_milli, width_px, height_px,
        picture_key, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule)
    SELECT f.vault_id, f.id, 'IMG_' || day || '_' || n, timestamp '2024-12-30 12:00' - day * interval '1 day' - n * interval '1 minute',
        'EXIF:DateTimeOriginal', CASE day WHEN 4 THEN 1500 ELSE (ARRAY[1500, 667, 1333, 750, 400])[1 + day * 7 % 5] END, 64, 48,
        lpad((day % 6)::text, 32, '0'), 0, 0, '{}', false, true, false, false, 'stem'
    FROM generate_series(0, 1499) AS day, generate_series(1, CASE day WHEN 4 THEN 40 ELSE 1 + day % 3 END) AS n, folders AS f;
    INSERT INTO pictures (image_id, key, source) SELECT id, picture_key, 'full' FROM images;
    ANALYZE;";

fn browse(window: Window, test: impl AsyncFnOnce(&Browser)) {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    vault(&mut conn, "Photos", dir.path());
    conn.batch_execute(FILL).unwrap();
    paint(&mut conn, dir.path());
    browse_in(window, &database, dir.path(), test);
}

/// Every day on the page as [date, left, top, right, bottom], in the order of the page.
const DAYS: &str = "return [...document.querySelectorAll('.day')].map((day) => { const { left, top, right, bottom } = day.getBoundingClientRect(); \
    return [day.dataset.day, left, top, right, bottom]; })";

/// Dates of days that share a row, row by row; panics where days overlap, run over the edge or stand in the wrong order.
async fn rows(browser: &Browser) -> Vec<Vec<String>> {
    let width = browser.js("return document.getElementById('timeline').getBoundingClientRect().right").await.as_f64().unwrap();
    let days = browser.js(DAYS).await;
    let mut rows: Vec<(f64, f64, Vec<String>)> = Vec::new();
    for day in days.as_array().unwrap() {
        let date = day[0].as_str().unwrap().to_owned();
        let [left, top, right, bottom] = [1, 2, 3, 4].map(|side| day[side].as_f64().unwrap());
        assert!(bottom > top + 100.0, "{date} is flat");
        assert!(right <= width + 1.0, "{date} runs over the edge: {right} of {width}");
        match rows.last_mut() {
            Some((row_top, row_right, dates)) if (*row_top - top).abs() < 1.0 => {
                assert!(left >= *row_right + 4.0, "{date} lies over the day before");
                assert!(dates.last().unwrap() > &date, "{date} stands before a newer day");
                *row_right = right;
                dates.push(date);
            }
            _ => rows.push((top, right, vec![date])),
        }
    }
    rows.into_iter().map(|(_, _, dates)| dates).collect()
}

/// The places of tiles as the server's page would have them, and as they are: the largest difference in pixels, and the tiles compared.
const AGAINST_THE_SERVER: &str = "const done = arguments[0]; const root = document.getElementById('timeline'); \
    fetch('/').then((answer) => answer.text()).then((html) => { \
        const page = new DOMParser().parseFromString(html, 'text/html').getElementById('timeline'); page.id = ''; \
        page.style.width = root.clientWidth + 'px'; root.parentElement.append(page); \
        const places = (from) => { const { left, top } = from.getBoundingClientRect(); return new Map([...from.querySelectorAll('.tile')].map((tile) => \
            { const rect = tile.getBoundingClientRect(); return [tile.dataset.id, [rect.left - left, rect.top - top]]; })); }; \
        const [now, then] = [places(root), places(page)]; let worst = 0; let count = 0; \
        for (const [id, place] of now) { const other = then.get(id); if (!other || place[1] > 1500) continue; count += 1; \
            worst = Math.max(worst, Math.abs(place[0] - other[0]), Math.abs(place[1] - other[1])); } \
        page.remove(); done([worst, count]); });";

#[test]
fn small_days_share_rows_and_each_is_reached() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        browser.shot("days-1440").await;
        let first = rows(browser).await;
        assert_eq!(first[0], ["2024-12-30", "2024-12-29", "2024-12-28"]);

        let compared = browser.client.execute_async(AGAINST_THE_SERVER, vec![]).await.unwrap();
        assert!(compared[1].as_u64().unwrap() > 15, "{compared}");
        assert!(compared[0].as_f64().unwrap() <= 1.5, "the script moves what the server wrote by {} px", compared[0]);

        // d goes from day to day, also within a row; the arrows on from there.
        let day_of_focus = "return document.activeElement.closest('.day')?.dataset.day ?? null";
        for expected in ["2024-12-29", "2024-12-28", "2024-12-27"] {
            browser.press('d').await;
            browser.until(expected, &format!("return document.activeElement.closest('.day')?.dataset.day === '{expected}'")).await;
        }
        for _ in 0..2 {
            browser.press(KEY_RIGHT).await;
        }
        assert_eq!(browser.js(day_of_focus).await, json!("2024-12-26"), "the 27th has one picture, then comes the forty's day");
        browser.press('m').await;
        browser.until("the month before", "return document.activeElement.closest('.day')?.dataset.day === '2024-11-30'").await;
        let under_bar = "const { top } = document.querySelector('.day[data-day=\"2024-11-30\"]').getBoundingClientRect(); \
            return Math.abs(top - 60) < 3";
        assert_eq!(browser.js(under_bar).await, json!(true), "the month does not begin under the bar");

        // A header chooses its own day alone.
        browser.js("document.querySelector('.day[data-day=\"2024-11-29\"] .pick-day').click()").await;
        let chosen = "return [...document.querySelectorAll('.pick input:checked')].map((box) => box.closest('.day').dataset.day)";
        let days: Vec<Value> = browser.js(chosen).await.as_array().unwrap().clone();
        assert!(!days.is_empty() && days.iter().all(|day| day == "2024-11-29"), "{days:?}");
        browser.press(KEY_ESCAPE).await;

        // Back leads to the very place, far down.
        browser.open("/?at=2022-05-14").await;
        browser.has_pictures_on_screen("May 2022").await;
        let there = rows(browser).await;
        let days: usize = there.iter().map(Vec::len).sum();
        let beside_others: usize = there.iter().map(Vec::len).filter(|count| *count > 1).sum();
        assert!(days > 8 && beside_others * 2 > days, "only {beside_others} of {days} days have company: {there:?}");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        browser.js("document.querySelector('.day[data-day=\"2022-05-14\"] .tile > a').focus({ preventScroll: true })").await;
        let place = browser.js("return [scrollY, document.activeElement.getBoundingClientRect().left]").await;
        browser.press(KEY_ENTER).await;
        browser.until("the viewer", "return document.querySelector('dialog[open] .proxy.ready') !== null").await;
        browser.back().await;
        browser.until("the gallery", "return !document.querySelector('dialog.over').open").await;
        assert_eq!(browser.js("return [scrollY, document.activeElement.getBoundingClientRect().left]").await, place);
        browser.client.refresh().await.unwrap();
        browser.until("the timeline lives", "return document.getElementById('timeline')?.dataset.ready === 'yes'").await;
        browser.until("the same day is in its place", &format!("return Math.abs(scrollY - {}) < 2", place[0])).await;
        let watched = browser.client.execute_async(super::WATCH_SCROLLING, vec![json!(-50)]).await.unwrap();
        assert!(watched[0].as_f64().unwrap() <= 1.0, "a tile moved by {} px", watched[0]);
    });
}

#[test]
fn on_a_phone_two_small_days_stand_side_by_side_where_they_fit() {
    browse(Window::Phone, async |browser| {
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        browser.shot("days-390").await;
        let rows = rows(browser).await;
        assert!(rows.iter().any(|row| row.len() == 2), "{rows:?}");
        assert!(rows.iter().all(|row| row.len() <= 2), "{rows:?}");
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth").await, json!(true));
        let is_cut = "return [...document.querySelectorAll('.day-head time')].filter((time) => time.scrollWidth > time.clientWidth + 1).map((time) => time.textContent)";
        assert_eq!(browser.js(is_cut).await, json!([]), "dates are cut off");
    });
}

#[test]
fn without_javascript_small_days_share_rows_and_say_how_many_they_hold() {
    browse(Window::NoScripts, async |browser| {
        browser.client.goto(&browser.origin).await.unwrap();
        browser.shot("days-no-scripts").await;
        let heads = browser.client.find_all(fantoccini::Locator::Css(".day")).await.unwrap();
        let mut tops = Vec::new();
        for head in heads.iter().take(16) {
            tops.push(head.rectangle().await.unwrap().1);
        }
        assert!(tops.windows(2).filter(|pair| (pair[0] - pair[1]).abs() < 1.0).count() > 3, "{tops:?}");
        let count = browser.client.find(fantoccini::Locator::Css(".day[data-day='2024-12-26'] .count")).await.unwrap();
        assert_eq!(count.text().await.unwrap(), "40 photos");
    });
}
