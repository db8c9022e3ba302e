//! The outbox by keys: both values of a conflict, one key to choose, the next one there, and the choice taken back.

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::{Browser, KEY_CONTROL, KEY_DOWN, Window, browse_in, editing::is_said, editing::lines, full_library};
use crate::support::TestDatabase;

fn library() -> (TestDatabase, tempfile::TempDir) {
    let (database, dir) = full_library();
    let fill = "
        UPDATE images SET rating = 5 WHERE id IN (1, 2, 3);
        UPDATE images SET title = 'At the <lake>' WHERE id = 2;
        INSERT INTO image_edits (image_id, field, value, base, state, outside) SELECT id, 'rating', '5', '0', 'conflict', '1' FROM images WHERE id IN (1, 2, 3);
        INSERT INTO image_edits (image_id, field, value, base, state, outside) VALUES (2, 'title', '\"At the <lake>\"', 'null', 'conflict', '\"A quite long title that somebody wrote in another program, <b>bold</b> & all\"');
        INSERT INTO image_edits (image_id, field, value, base, state, reason, attempts)
            SELECT id, 'rating', '4', '0', 'failed', 'the disk is read-only', 3 FROM images WHERE id IN (7, 8);
        INSERT INTO image_edits (image_id, field, value, base) SELECT id, 'rating', '3', '0' FROM images WHERE id BETWEEN 10 AND 60;
        INSERT INTO image_edits (image_id, field, value, base) SELECT id, 'keywords', '{\"flat\": [\"lake\"], \"hierarchical\": [\"trip|alps\"]}', '[]' FROM images WHERE id BETWEEN 10 AND 12;";
    database.connection().batch_execute(fill).unwrap();
    (database, dir)
}

async fn open(browser: &Browser, path: &str) {
    browser.client.goto(&format!("{}{path}", browser.origin)).await.unwrap();
    browser.until("the page lives", "return document.documentElement.matches('.js') && document.querySelector('main .outbox') !== null && document.getElementById('outbox-link')?.hidden === false").await;
}

#[test]
fn conflicts_are_ended_by_one_key_each_and_a_choice_is_taken_back() {
    let (database, dir) = library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.open("/").await;
        browser
            .until(
                "the strip says it",
                "return document.querySelector('#status .strip.alarm')?.textContent.includes('4 changes are in conflict') === true",
            )
            .await;
        assert_eq!(browser.js("return document.querySelector('#outbox-link .count').textContent").await, json!("60"));
        browser.click("#status .strip a").await;
        open(browser, "/outbox").await;
        let values = "return [...document.activeElement.querySelectorAll('.value')].map((value) => value.textContent)";
        assert_eq!(browser.js(values).await, json!(["5 stars", "1 star"]));
        browser.shot("outbox-1440").await;
        browser.looks_right("outbox-1440").await;
        browser.js("document.querySelector('.conflict').focus({ preventScroll: true })").await;
        browser.press('2').await;
        is_said(browser, "Rating: the sidecar's value holds").await;
        browser
            .until(
                "three are left, the next one chosen",
                "return document.querySelectorAll('.conflict').length === 3 && document.activeElement.matches('.conflict')",
            )
            .await;
        browser.press('1').await;
        is_said(browser, "Rating: the library's value holds").await;
        browser.until("two are left", "return document.querySelectorAll('.conflict').length === 2").await;
        let title = json!(["At the <lake>", "A quite long title that somebody wrote in another program, <b>bold</b> & all"]);
        assert_eq!(browser.js(values).await, title);
        let state = "SELECT concat_ws(' ', e.image_id, e.field, e.state, i.rating) AS line FROM image_edits AS e JOIN images AS i ON i.id = e.image_id \
            WHERE e.image_id <= 3 ORDER BY e.image_id, e.field";
        assert_eq!(lines(&database, state), ["1 rating written 1", "2 rating pending 5", "2 title conflict 5", "3 rating conflict 5"]);
        browser.js("window.isOld = true").await;
        browser.press_with(KEY_CONTROL, 'z').await;
        browser
            .until(
                "the page is there anew",
                "return !window.isOld && document.querySelectorAll('.conflict').length === 2 && document.activeElement.matches('.conflict')",
            )
            .await;
        assert_eq!(lines(&database, "SELECT rating::text AS line FROM images WHERE id = 2"), ["1"], "the choice for 5 is taken back");
        browser.press(KEY_DOWN).await;
        assert_eq!(browser.js(values).await, json!(["5 stars", "1 star"]));
        browser.press('r').await;
        browser.until("nothing failed any more", "return document.querySelector('form[action=\"/outbox/retry\"]') === null && document.querySelector('main .outbox') !== null").await;
        assert_eq!(lines(&database, "SELECT DISTINCT state AS line FROM image_edits WHERE image_id IN (7, 8)"), ["pending"]);
    });
}

#[test]
fn a_phone_shows_the_outbox_and_where_write_back_is_turned_on() {
    let (database, dir) = library();
    browse_in(Window::Phone, &database, dir.path(), async |browser| {
        open(browser, "/outbox").await;
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390").await, json!(true));
        browser.looks_right("outbox-390").await;
        browser.click("[data-act=theme]").await;
        open(browser, "/outbox?state=pending").await;
        let settings = "return document.querySelector('.why pre').textContent";
        let expected = format!("[vaults.Photos]\npath = \"{}\"\nwrite_back = true", dir.path().display());
        assert_eq!(browser.js(settings).await, json!(expected));
        browser.shot("outbox-pending-390-other-theme").await;
        open(browser, "/outbox?state=failed").await;
        browser.looks_right("outbox-failed-390").await;
    });
}

#[test]
fn without_scripts_a_conflict_is_ended_by_a_form() {
    let (database, dir) = library();
    browse_in(Window::NoScripts, &database, dir.path(), async |browser| {
        browser.client.goto(&format!("{}/outbox?state=conflict", browser.origin)).await.unwrap();
        browser.click(".conflict [value=theirs]").await;
        browser.reaches("/outbox").await;
        browser.shot("outbox-noscript").await;
        assert_eq!(lines(&database, "SELECT rating::text AS line FROM images WHERE id = 1"), ["1"]);
    });
}
