//! The page of the networks on a phone, on a desk and without scripts: nothing of it leaves the window.

use fantoccini::Locator;
use serde_json::json;

use super::{Browser, Window, browse_in};
use crate::support::{TestDatabase, temp_dir};

async fn look(browser: &Browser, name: &str) {
    browser.client.goto(&format!("{}/models", browser.origin)).await.unwrap();
    browser.client.wait().for_element(Locator::Css(".networks .offer pre")).await.unwrap();
    browser.shot(&format!("{name}-top")).await;
    browser.js("scrollTo(0, 99999)").await;
    browser.shot(&format!("{name}-end")).await;
    assert_eq!(
        browser.js("return document.documentElement.scrollWidth > innerWidth").await,
        json!(false),
        "{name} is wider than its window"
    );
    let spilled = "return [...document.querySelectorAll('.networks p, .networks a, .networks dd, .networks li, .networks pre')].filter((one) => { \
        const { left, right, width } = one.getBoundingClientRect(); return width > 0 && (left < 0 || right > innerWidth + 1); }).map((one) => one.outerHTML.slice(0, 120))";
    assert_eq!(browser.js(spilled).await, json!([]), "{name}");
}

#[test]
fn the_networks_fit_every_window() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    browse_in(Window::Phone, &database, dir.path(), async |browser| look(browser, "models-390").await);
    browse_in(Window::Desk, &database, dir.path(), async |browser| look(browser, "models-1440").await);
    browse_in(Window::NoScripts, &database, dir.path(), async |browser| {
        browser.client.goto(&format!("{}/models", browser.origin)).await.unwrap();
        let commands = browser.client.find_all(Locator::Css(".networks .offer pre")).await.unwrap();
        assert!(commands.len() >= 7, "{} commands", commands.len());
        browser.shot("models-no-scripts").await;
    });
}
