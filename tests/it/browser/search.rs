//! The search box by keyboard: completion, an error in place, a saved search.

use serde_json::json;

use super::{Browser, KEY_DOWN, KEY_ENTER, KEY_ESCAPE, Window, browse};

async fn type_text(browser: &Browser, text: &str) {
    for key in text.chars() {
        browser.press(key).await;
    }
}

async fn clear(browser: &Browser) {
    browser.js("const field = document.getElementById('search'); field.value = ''; field.focus(); field.dispatchEvent(new Event('input', { bubbles: true }))").await;
}

#[test]
fn a_search_is_typed_and_completed_by_keys_and_an_error_is_shown_in_place() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        browser.press('/').await;
        browser
            .until(
                "the keys of the language are offered",
                "return document.querySelectorAll('.search .found:not([hidden]) [role=option]').length > 10",
            )
            .await;
        type_text(browser, "cam").await;
        let first = "return document.querySelector('.search [role=option] b')?.textContent === 'camera:'";
        // `c` alone offers it, too: the list for all three letters has to be there, or it comes after the key and takes the choice away.
        let last = "return performance.getEntriesByType('resource').some((entry) => /suggest\\?.*q=cam(&|$)/.test(entry.name) && entry.responseEnd > 0)";
        browser.until("what is typed is answered", last).await;
        browser.until("the key is offered first", first).await;
        browser.press(KEY_DOWN).await;
        let active = "return document.getElementById(document.getElementById('search').getAttribute('aria-activedescendant'))?.getAttribute('aria-selected') === 'true'";
        assert_eq!(browser.js(active).await, json!(true));
        browser.press(KEY_ENTER).await;
        browser
            .until(
                "cameras are offered with counts",
                "return document.querySelector('.search [role=option] span')?.textContent === '6,667'",
            )
            .await;
        browser.shot("search-completion-1440").await;
        browser.press(KEY_DOWN).await;
        browser.press(KEY_ENTER).await;
        browser.until("the camera is put in", "return document.getElementById('search').value.startsWith('camera:\"Camera ')").await;
        browser.until("more is offered", "return document.querySelector('.search [role=option] b')?.textContent === 'date:'").await;
        browser.press(KEY_ESCAPE).await;
        browser
            .until("the panel is shut", "return document.querySelector('.search .found').hidden && document.activeElement.id === 'search'")
            .await;
        browser.press(KEY_ENTER).await;
        browser.until("the gallery is narrowed", "return location.search.startsWith('?q=camera%3A%22Camera') && document.getElementById('timeline')?.dataset.ready === 'yes'").await;
        browser.shot("search-found-1440").await;
        let before = browser.address().await;

        clear(browser).await;
        type_text(browser, "ratng:3").await;
        browser.press(KEY_ENTER).await;
        browser.until("the error is shown below the box", "const trouble = document.querySelector('.search .found.is-asked .trouble'); return trouble !== null && trouble.getBoundingClientRect().height > 30").await;
        let described = "const field = document.getElementById('search'); return field.getAttribute('aria-invalid') === 'true' && document.getElementById(field.getAttribute('aria-describedby')).textContent.includes('column 1')";
        assert_eq!(browser.js(described).await, json!(true));
        browser.shot("search-error-1440").await;
        assert_eq!(browser.address().await, before, "the old result is gone");
        browser.js("document.querySelector('.search .trouble a').click()").await;
        browser.until("the correction is searched for", "return location.search === '?q=rating%3A3'").await;

        browser.client.goto(&format!("{}/searches?q=camera:%22Camera%201%22%20type:raw", browser.origin)).await.unwrap();
        browser.js("document.querySelector('.save input[name=name]').focus()").await;
        type_text(browser, "Raws of one").await;
        browser.press(KEY_ENTER).await;
        browser.until("it is in the list", "return document.querySelector('.searches li b')?.textContent === 'Raws of one'").await;
        browser.js("document.querySelector('.searches details').open = true").await;
        let is_beside = "const [one, other] = ['a', 'summary'].map((name) => document.querySelector(`.searches li ${name}`).getBoundingClientRect()); \
            return Math.abs(one.top + one.bottom - other.top - other.bottom) < 12";
        assert_eq!(browser.js(is_beside).await, json!(true), "what opens a row is not beside its name");
        browser.looks_right("searches-1440").await;
        browser.open("/").await;
        browser.press('/').await;
        type_text(browser, "raws").await;
        browser
            .until("it is offered by its name", "return document.querySelector('.search [role=option] b')?.textContent === 'Raws of one'")
            .await;
        browser.press(KEY_DOWN).await;
        browser.press(KEY_ENTER).await;
        browser.until("its query is in the box", "return document.getElementById('search').value === 'camera:\"Camera 1\" type:raw'").await;
        browser.press(KEY_ENTER).await;
        browser
            .until("only what it says", "return location.search.includes('type%3Araw') && document.querySelectorAll('.tile').length > 0")
            .await;
    });
}

/// Enter takes what is chosen, the next Enter searches, however late the server's offers are.
#[test]
fn enter_after_enter_searches_before_the_next_offers_are_there() {
    browse(Window::Desk, async |browser| {
        browser.open("/").await;
        browser.press('/').await;
        type_text(browser, "type:ra").await;
        browser.until("the type is offered", "return document.querySelector('.search [role=option]')?.dataset.text === 'type:raw ' || document.querySelector('.search [role=option]')?.dataset.text === 'type:raw'").await;
        browser.js("window.later = window.fetch; window.fetch = async (...args) => { await new Promise((done) => setTimeout(done, 1500)); return window.later(...args); }").await;
        browser.press(KEY_DOWN).await;
        browser.press(KEY_ENTER).await;
        browser.press(KEY_ENTER).await;
        browser.until("it is searched for", "return new URLSearchParams(location.search).get('q')?.trim() === 'type:raw' && document.querySelectorAll('.tile').length > 0").await;
    });
}

#[test]
fn a_phone_shows_completions_errors_and_help_without_scrolling_sideways() {
    browse(Window::Phone, async |browser| {
        let is_narrow = "return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390";
        browser.open("/").await;
        browser.js("document.getElementById('search').focus()").await;
        type_text(browser, "camera:c").await;
        browser.until("cameras are offered", "return document.querySelectorAll('.search [role=option]').length === 3").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("search-completion-390").await;
        clear(browser).await;
        type_text(browser, "lake date:2019-13").await;
        browser.press(KEY_ENTER).await;
        browser.until("the error is shown", "return document.querySelector('.search .found.is-asked .trouble') !== null").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("search-error-390").await;
        browser.client.goto(&format!("{}/search/help", browser.origin)).await.unwrap();
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("search-help-390").await;
        browser.client.find(fantoccini::Locator::Css("[data-act=theme]")).await.unwrap().click().await.unwrap();
        browser.client.goto(&format!("{}/searches?q=lake", browser.origin)).await.unwrap();
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("searches-390-other-theme").await;
        for (name, query) in [
            ("Best of the lake", "rating:>=4 tag:lake -is:missing"),
            ("Family", "(tag:\"family gathering\" OR tag:birthday) date:2015..2024 camera:\"Camera 1\""),
        ] {
            browser.js(&format!("document.querySelector('.save [name=q]').value = {}; document.querySelector('.save [name=name]').value = {}; document.querySelector('.save').submit()", json!(query), json!(name))).await;
            browser
                .until(
                    "it is in the list",
                    &format!("return [...document.querySelectorAll('.searches li b')].some((one) => one.textContent === {})", json!(name)),
                )
                .await;
        }
        browser.js("document.querySelector('.searches details').open = true").await;
        browser.looks_right("searches-390").await;
    });
}

#[test]
fn without_scripts_the_box_is_a_form_and_an_error_a_page() {
    browse(Window::NoScripts, async |browser| {
        browser.client.goto(&format!("{}/?q=camera:%22Camera%202%22", browser.origin)).await.unwrap();
        let tiles = browser.client.find_all(fantoccini::Locator::Css(".tile")).await.unwrap();
        assert!(!tiles.is_empty());
        browser.client.goto(&format!("{}/?q=lake%20ratng:3", browser.origin)).await.unwrap();
        let trouble = browser.client.find(fantoccini::Locator::Css(".trouble pre")).await.unwrap().text().await.unwrap();
        assert!(trouble.contains("^^^^^"), "{trouble}");
        browser.shot("search-error-noscript").await;
        browser.client.goto(&format!("{}/search/help", browser.origin)).await.unwrap();
        browser.shot("search-help-1440").await;
    });
}
