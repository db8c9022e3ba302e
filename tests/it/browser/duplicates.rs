//! Duplicates by keys: one photo of a group picked, several kept, a group set aside, all of it taken back; a phone, and no scripts.

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::{Browser, KEY_CONTROL, KEY_DOWN, KEY_ENTER, KEY_RIGHT, Window, browse_in, editing::is_said, editing::lines, full_library};
use crate::support::TestDatabase;

/// Two bursts, of three and of four, and a file that is there twice.
fn library() -> (TestDatabase, tempfile::TempDir) {
    let (database, dir) = full_library();
    let fill = "
        UPDATE images SET camera_id = 1, width_px = 6000, height_px = 4000,
            captured_at = timestamp '2025-01-02 10:00' + (id - 10) * interval '1 second' WHERE id IN (10, 11, 12);
        UPDATE images SET camera_id = 1, captured_at = timestamp '2025-01-01 10:00' + id * interval '1 second' WHERE id BETWEEN 20 AND 23;
        UPDATE images SET rating = 3 WHERE id = 11;
        INSERT INTO files (vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint)
        SELECT vault_id, folder_id, id, convert_to(name, 'UTF8'), name, 'cr2', 'ORIGINAL', 24300000, 1, '\\x00112233445566778899aabbccddeeff'
        FROM images, LATERAL (SELECT 'a_rather_long_name_of_a_file_that_came_from_a_phone_' || id || '.CR2' AS name) AS n WHERE id IN (30, 31);";
    database.connection().batch_execute(fill).unwrap();
    (database, dir)
}

/// The groups there are, and whether a photo has the focus.
async fn has_groups(browser: &Browser, count: usize) {
    let script = format!("return document.querySelectorAll('.group').length === {count} && document.activeElement.matches('.photo')");
    browser.until(&format!("{count} groups"), &script).await;
}

async fn open(browser: &Browser, path: &str) {
    browser.client.goto(&format!("{}{path}", browser.origin)).await.unwrap();
    browser
        .until("the page lives", "return document.documentElement.matches('.js') && document.querySelector('main .duplicates') !== null")
        .await;
}

const STATE: &str = "SELECT concat_ws(' ', id, rating, pick) AS line FROM images WHERE id IN (10, 11, 12) ORDER BY id";

#[test]
fn groups_are_decided_by_one_key_each_and_taken_back() {
    let (database, dir) = library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open(browser, "/duplicates?kind=bursts").await;
        has_groups(browser, 2).await;
        browser.looks_right("duplicates-1440").await;
        browser.js("document.querySelector('.photo').focus()").await;
        assert_eq!(browser.js("return document.activeElement.dataset.id").await, json!("12"));
        browser.press(KEY_RIGHT).await;
        browser.press('p').await;
        is_said(browser, "1 photo picked, 2 rejected").await;
        has_groups(browser, 1).await;
        assert_eq!(lines(&database, STATE), ["10 -1 none", "11 3 picked", "12 -1 none"]);
        browser.press_with(KEY_CONTROL, 'z').await;
        has_groups(browser, 2).await;
        assert_eq!(lines(&database, STATE), ["10 none", "11 3 none", "12 none"]);

        // Two of the second are kept, the rest rejected.
        browser.press(KEY_DOWN).await;
        for key in [' ', KEY_RIGHT, ' '] {
            browser.press(key).await;
        }
        assert_eq!(browser.js("return document.querySelectorAll('.group :checked').length").await, json!(2));
        browser.press(KEY_ENTER).await;
        is_said(browser, "2 photos picked, 2 rejected").await;
        has_groups(browser, 1).await;
        browser.press('n').await;
        browser.until("nothing is left", "return document.querySelector('.duplicates .empty') !== null").await;
        is_said(browser, "3 photos set aside as no duplicates").await;
        assert_eq!(lines(&database, "SELECT image_id::text AS line FROM not_duplicate_images ORDER BY 1"), ["10", "11", "12"]);

        open(browser, "/duplicates?kind=apart").await;
        browser.click(".decisions form button").await;
        browser.until("it is taken back", "return document.querySelector('.duplicates .empty') !== null").await;
        open(browser, "/duplicates?kind=bursts").await;
        has_groups(browser, 1).await;
    });
}

const APART: &str = "SELECT string_agg(o.image_id::text, ' ' ORDER BY o.image_id) AS line FROM not_duplicate_images AS o \
    GROUP BY o.decision_id ORDER BY o.decision_id";

#[test]
fn no_duplicates_is_taken_back_like_any_edit_and_in_its_turn() {
    let (database, dir) = library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open(browser, "/duplicates?kind=bursts").await;
        has_groups(browser, 2).await;
        // A group is decided, the other set aside: the last of both is taken back first.
        browser.press('p').await;
        is_said(browser, "1 photo picked, 2 rejected").await;
        has_groups(browser, 1).await;
        browser.press('n').await;
        browser.until("nothing is left", "return document.querySelector('.duplicates .empty') !== null").await;
        is_said(browser, "4 photos set aside as no duplicates").await;
        browser.shot("duplicates-set-aside-1440").await;
        assert_eq!(lines(&database, APART), ["20 21 22 23"]);
        browser.press_with(KEY_CONTROL, 'z').await;
        has_groups(browser, 1).await;
        is_said(browser, "Taken back: they may be duplicates (4 photos set aside as no duplicates)").await;
        assert!(lines(&database, APART).is_empty());
        // And once more, which is another decision: the message takes that back, too.
        browser.press_with(KEY_CONTROL, 'y').await;
        browser.until("nothing is left", "return document.querySelector('.duplicates .empty') !== null").await;
        is_said(browser, "4 photos set aside as no duplicates").await;
        assert_eq!(lines(&database, APART), ["20 21 22 23"]);
        browser.click(".done-toast [data-act=undo]").await;
        has_groups(browser, 1).await;
        assert!(lines(&database, APART).is_empty());
        browser.press_with(KEY_CONTROL, 'z').await;
        has_groups(browser, 2).await;
        assert_eq!(lines(&database, STATE), ["10 none", "11 3 none", "12 none"]);

        // What was taken back elsewhere is said once, and does not stand before what was done earlier.
        browser.press('p').await;
        is_said(browser, "1 photo picked, 2 rejected").await;
        has_groups(browser, 1).await;
        browser.press('n').await;
        browser.until("nothing is left", "return document.querySelector('.duplicates .empty') !== null").await;
        is_said(browser, "4 photos set aside as no duplicates").await;
        database.connection().batch_execute("DELETE FROM not_duplicates").unwrap();
        browser.press_with(KEY_CONTROL, 'z').await;
        is_said(browser, "Not undone: ").await;
        browser.press_with(KEY_CONTROL, 'z').await;
        has_groups(browser, 2).await;
        assert_eq!(lines(&database, STATE), ["10 none", "11 3 none", "12 none"]);

        // So is what was taken back by its own button, which is not even said.
        browser.press('n').await;
        has_groups(browser, 1).await;
        open(browser, "/duplicates?kind=apart").await;
        browser.click(".decisions form button").await;
        browser.until("it is taken back", "return document.querySelector('.duplicates .empty') !== null").await;
        is_said(browser, "Taken back: they may be duplicates").await;
        browser.press_with(KEY_CONTROL, 'z').await;
        is_said(browser, "There is nothing to undo").await;
    });
}

#[test]
fn a_phone_shows_groups_side_by_side_within_its_width() {
    let (database, dir) = library();
    browse_in(Window::Phone, &database, dir.path(), async |browser| {
        for kind in ["bursts", "copies"] {
            open(browser, &format!("/duplicates?kind={kind}")).await;
            assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390").await, json!(true));
            browser.looks_right(&format!("duplicates-{kind}-390")).await;
        }
    });
}

#[test]
fn without_scripts_the_best_is_picked_by_a_form_and_taken_back() {
    let (database, dir) = library();
    browse_in(Window::NoScripts, &database, dir.path(), async |browser| {
        browser.client.goto(&format!("{}/duplicates?kind=bursts", browser.origin)).await.unwrap();
        browser.click(".photo [data-act=best]").await;
        browser.reaches("/duplicates?kind=bursts&done=1").await;
        assert_eq!(lines(&database, STATE), ["10 -1 none", "11 -1 none", "12 picked"]);
        browser.shot("duplicates-noscript").await;
        browser.click("form.done button").await;
        browser.reaches("/duplicates?kind=bursts").await;
        assert_eq!(lines(&database, STATE), ["10 none", "11 3 none", "12 none"]);
    });
}
