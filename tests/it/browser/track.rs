//! A GPX track for what is selected: chosen, previewed while the clock is set, applied, and taken back.

use std::fs;

use diesel::{RunQueryDsl, sql_query};
use fantoccini::Locator;

use super::{KEY_CONTROL, Window, browse_in, editing::is_said, editing::lines, full_library};

#[test]
fn a_track_places_what_is_selected_and_is_taken_back() {
    let (database, dir) = full_library();
    sql_query("UPDATE images SET captured_offset_minutes = 120 WHERE id <= 4").execute(&mut database.connection()).unwrap();
    let point = |hour: u32, minute: u32, latitude: f64| {
        format!(r#"<trkpt lat="{latitude}" lon="11.5"><ele>500</ele><time>2024-12-31T{hour:02}:{minute:02}:00Z</time></trkpt>"#)
    };
    // The first photo was taken at 20:00 of its own clock, the second at 15:00.
    let points: String = [point(17, 55, 48.0), point(18, 5, 48.2), point(12, 55, 47.0), point(13, 5, 47.2)].concat();
    let file = dir.path().join("day.gpx");
    fs::write(&file, format!("<gpx><trk><name>&lt;b&gt;</name><trkseg>{points}</trkseg></trk></gpx>")).unwrap();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        browser
            .js("for (const tile of [...document.querySelectorAll('.tile')].slice(0, 3)) tile.querySelector('.pick input').click()")
            .await;
        browser.click(".more-edits > summary").await;
        browser.click(".from-track > summary").await;
        browser.client.find(Locator::Css(".track [type=file]")).await.unwrap().send_keys(&file.display().to_string()).await.unwrap();
        let told = |words: &str| format!("return document.querySelector('.track .told').textContent.includes('{words}')");
        browser.until("what it would do", &told("2 photos get a place; 1 were taken where the track is silent")).await;
        browser.shot("track-1440").await;
        browser.js("document.querySelector('.track [name=clock]').focus()").await;
        browser.type_text("1:00").await;
        browser.until("with the camera ahead none fits", &told("No photo gets a place")).await;
        browser.js("const field = document.querySelector('.track [name=clock]'); field.value = '0:05'; field.dispatchEvent(new Event('input', { bubbles: true }))").await;
        browser.until("five minutes ahead both do", &told("2 photos get a place")).await;
        browser.click(".track [type=submit]").await;
        is_said(browser, "2 photos: place from the track").await;
        let placed =
            "SELECT string_agg(round(latitude_deg::numeric, 3)::text, ' ' ORDER BY id) AS line FROM images WHERE latitude_deg IS NOT NULL";
        assert_eq!(lines(&database, placed), ["48.000 47.000"]);
        browser.js("document.activeElement.blur()").await;
        browser.press_with(KEY_CONTROL, 'z').await;
        is_said(browser, "Undone: 2 photos").await;
        assert_eq!(lines(&database, "SELECT count(latitude_deg)::text AS line FROM images"), ["0"]);
    });
}
