//! The first visitor from elsewhere, by keys alone: creates the owner with the code of the server, adds somebody, signs out and in again.

use std::sync::mpsc;

use diesel::connection::SimpleConnection;
use hm::{
    db::accounts::insert_account,
    models::account::{PasswordKept, Role},
};
use serde_json::json;

use super::{Browser, KEY_ENTER, KEY_TAB, Window, browse_at, full_library};
use crate::support::{TestDatabase, http::App, temp_dir};

const PASSWORD: &str = "correct horse battery";

impl Browser {
    /// Presses Tab until the focus is on what a selector names.
    async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.js(&format!("return document.activeElement.matches(\"{selector}\")")).await == true {
                return;
            }
            self.press(KEY_TAB).await;
        }
        self.shot("failed").await;
        panic!("Tab never comes to {selector} at {}", self.address().await);
    }

    /// Goes to a page that is no gallery.
    async fn visit(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.unwrap();
    }

    async fn fill(&self, fields: &[(&str, &str)]) {
        for (name, text) in fields {
            self.tab_to(&format!("main [name='{name}']")).await;
            self.type_text(text).await;
        }
    }

    async fn does_not_scroll_sideways(&self) {
        assert_eq!(
            self.js("return document.documentElement.scrollWidth <= innerWidth").await,
            true,
            "{} is wider than the window",
            self.address().await
        );
    }
}

fn from_the_code_to_a_second_account(window: Window, width: u32) {
    let (database, thumbs) = (TestDatabase::new(), temp_dir());
    let (send, receive) = mpsc::channel();
    let app = App::start_as(database.pool(), thumbs.path(), None, move |state| {
        let state = state.with_accounts(vec!["photos.example".to_owned()]);
        send.send(state.gate.code().unwrap().to_owned()).unwrap();
        state
    });
    let code = receive.recv().unwrap();
    browse_at(window, &app, async |browser| {
        browser.visit("/").await;
        browser.reaches("/welcome").await;
        browser.does_not_scroll_sideways().await;
        browser.shot(&format!("welcome-{width}")).await;
        // The code's field has the focus from the start. A wrong one is said, and the name stays.
        assert_eq!(browser.js("return document.activeElement.name").await, "code");
        browser.fill(&[("code", "AAAA-AAAA-AAAA"), ("name", "Anna"), ("password", PASSWORD), ("again", PASSWORD)]).await;
        browser.press(KEY_ENTER).await;
        browser.until("it says what is wrong", "return document.querySelector('.trouble[role=alert]') !== null").await;
        browser.shot(&format!("welcome-wrong-{width}")).await;
        assert_eq!(browser.js("return document.querySelector('main [name=name]').value").await, "Anna");
        browser.fill(&[("code", &code), ("password", PASSWORD), ("again", PASSWORD)]).await;
        browser.press(KEY_ENTER).await;
        browser.reaches("/").await;

        browser.tab_to("a[href='/me']").await;
        browser.press(KEY_ENTER).await;
        browser.reaches("/me").await;
        // With a token that was just made, and one that there was before.
        for name in ["The frame in the kitchen", "Nightly export into the archive"] {
            browser.tab_to("form[action='/me/tokens'] [name='name']").await;
            browser.type_text(name).await;
            browser.press(KEY_ENTER).await;
            let is_made = format!(
                "return document.querySelector('.token') !== null && [...document.querySelectorAll('.rows b')].some((one) => one.textContent === '{name}')"
            );
            browser.until("the token is shown", &is_made).await;
        }
        browser.looks_right(&format!("me-{width}")).await;
        browser.tab_to("main a[href='/accounts']").await;
        browser.press(KEY_ENTER).await;
        browser.reaches("/accounts").await;
        browser.fill(&[("name", "Ben")]).await;
        browser.tab_to("main form[action='/accounts'] [name='password']").await;
        browser.type_text(PASSWORD).await;
        browser.press(KEY_ENTER).await;
        browser.until("Ben is there", "return [...document.querySelectorAll('.rows b')].some((name) => name.textContent === 'Ben')").await;
        browser.does_not_scroll_sideways().await;
        // A choice is as wide as its longest word, with room for the arrow.
        let cut = "for (const details of document.querySelectorAll('.rows details')) details.open = true; \
            const pen = document.createElement('canvas').getContext('2d'); \
            return [...document.querySelectorAll('.desk select')].filter((select) => { pen.font = getComputedStyle(select).font; \
                return [...select.options].some((option) => pen.measureText(option.text).width + 36 > select.clientWidth); }).length";
        assert_eq!(browser.js(cut).await, 0, "a role is cut off");
        // What opens a row stays beside the name, and what is said of a button beside the button, or on a phone below it.
        let apart = "const middle = (one) => { const { top, bottom } = one.getBoundingClientRect(); return (top + bottom) / 2; }; \
            return [...document.querySelectorAll('.rows li')].flatMap((row) => [[row.querySelector('span'), row.querySelector('summary')], \
                [row.querySelector('details small'), row.querySelector('[action$=delete] button')]].slice(0, innerWidth > 900 ? 2 : 1)) \
                .map(([one, other]) => Math.abs(middle(one) - middle(other))).filter((apart) => apart > 6)";
        assert_eq!(browser.js(apart).await, json!([]));
        browser.looks_right(&format!("accounts-{width}")).await;
        browser.visit("/audit").await;
        browser.looks_right(&format!("audit-{width}")).await;

        browser.visit("/me").await;
        browser.tab_to("form[action='/logout'] [type=submit]").await;
        browser.press(KEY_ENTER).await;
        browser.until("signed out", "return location.pathname === '/login'").await;
        browser.shot(&format!("login-{width}")).await;
        browser.fill(&[("name", "Ben"), ("password", PASSWORD)]).await;
        browser.press(KEY_ENTER).await;
        browser.reaches("/").await;
        browser.visit("/me").await;
        assert_eq!(browser.js("return document.querySelector('h1').textContent").await, "Ben");
        assert_eq!(browser.js("return document.querySelector(\"a[href='/accounts']\")").await, serde_json::Value::Null);
    });
}

#[test]
fn the_first_owner_comes_in_by_keys_alone() {
    from_the_code_to_a_second_account(Window::Desk, 1440);
}

#[test]
fn the_first_owner_comes_in_on_a_phone() {
    from_the_code_to_a_second_account(Window::Phone, 390);
}

fn a_viewer_looks_at_a_photo(window: Window, width: u32) {
    let (database, dir) = full_library();
    let conn = &mut database.connection();
    for (name, role) in [("Anna", Role::Owner), ("Ben", Role::Viewer)] {
        insert_account(conn, name, role, &PasswordKept::of(PASSWORD, name).unwrap(), false).unwrap().unwrap();
    }
    conn.batch_execute(
        "UPDATE images SET title = 'Evening at the harbour', description = E'Two lines\\nof what was seen there', rating = 4, pick = 'picked', \
            keywords = '{lake,harbour}', latitude_deg = 47.37, longitude_deg = 8.54 WHERE id = 1",
    )
    .unwrap();
    browse_at(window, &App::start(database.pool(), dir.path()), async |browser| {
        browser.visit("/login").await;
        browser.fill(&[("name", "Ben"), ("password", PASSWORD)]).await;
        browser.press(KEY_ENTER).await;
        browser.reaches("/").await;
        browser.until("the timeline lives", "return document.getElementById('timeline')?.dataset.ready === 'yes'").await;
        browser.has_pictures_on_screen("the first rows").await;
        // What would only be refused is not there: no box to choose a photo, no field, no star to press, no key for either in the list.
        let boxes = "return document.querySelectorAll('.tile').length > 3 && document.querySelectorAll('.pick, .selection, .rate-link').length === 0";
        assert_eq!(browser.js(boxes).await, true);
        let keys = browser.js("return document.getElementById('help').textContent").await.as_str().unwrap().to_owned();
        for (words, is_told) in [("Go to a date", true), ("Undo", false), ("Pick, reject", false), ("Rate these", false), ("Select", false)]
        {
            assert_eq!(keys.contains(words), is_told, "{words}");
        }
        browser.js("document.querySelector('.tile[data-id=\"1\"] > a').focus()").await;
        browser.press(KEY_ENTER).await;
        browser.until("the picture is here", "return document.querySelector('dialog[open] .proxy.ready') !== null").await;
        browser.press('i').await;
        browser.until("the facts are here", "return document.querySelector('dialog .facts')?.getBoundingClientRect().width > 200").await;
        let fields = "return [...document.querySelectorAll('dialog.over :is(input, textarea, select, .rate-bar, form, [data-act=copy-place])')].map((one) => one.outerHTML)";
        assert_eq!(browser.js(fields).await, json!([]));
        browser.looks_right(&format!("viewer-role-{width}")).await;
        // Their keys mean nothing.
        browser.press('2').await;
        browser.press('p').await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(browser.js("return document.querySelector('.done-toast')").await, json!(null));
    });
}

#[test]
fn who_may_only_look_is_shown_a_photo_without_fields() {
    a_viewer_looks_at_a_photo(Window::Desk, 1440);
}

#[test]
fn who_may_only_look_is_shown_a_photo_without_fields_on_a_phone() {
    a_viewer_looks_at_a_photo(Window::Phone, 390);
}
