//! The page of tasks in a browser: it renews itself and keeps the focus, and everything on it is done by keys.

use serde_json::json;

use super::{Browser, KEY_DOWN, KEY_ENTER, Window, browse_at, editing::is_said};
use crate::tasks::{EMBED, Workshop, with_queue};

async fn open(browser: &Browser) {
    browser.client.goto(&format!("{}/tasks", browser.origin)).await.unwrap();
    browser
        .until("the page lives", "return document.documentElement.matches('.js') && document.querySelectorAll('.lane').length === 2")
        .await;
}

/// Thumbnails where the page looks for them.
fn painted() -> Workshop {
    let workshop = Workshop::new();
    workshop.paint();
    workshop
}

#[test]
fn lanes_and_failures_are_worked_by_keys_and_the_page_renews_itself() {
    let workshop = painted();
    let app = workshop.serve();
    browse_at(Window::Desk, &app, async |browser| {
        open(browser).await;
        browser
            .until(
                "its pictures are there",
                "return [...document.querySelectorAll('.pictures img')].every((image) => image.naturalWidth > 0)",
            )
            .await;
        browser.looks_right("tasks-1440").await;
        browser.press(KEY_DOWN).await;
        assert_eq!(browser.js("return document.activeElement.id").await, json!("lane-0"));
        browser.press(KEY_DOWN).await;
        assert_eq!(browser.js("return document.activeElement.id").await, json!("lane-1"));
        browser.press('k').await;
        browser.press('p').await;
        is_said(browser, "Paused. What is under way is finished.").await;
        browser.until("it says so", "return document.querySelector('#lane-0.is-paused') !== null").await;
        assert!(workshop.is_paused(EMBED));
        assert_eq!(browser.js("return document.activeElement.id").await, json!("lane-0"), "the focus stays where it was");
        browser.shot("tasks-paused-1440").await;
        // Something happens elsewhere: the page shows it by itself, and the focus stays.
        with_queue(&workshop.space, async |queue| queue.resume_lane(&EMBED.parse().unwrap()).await.unwrap());
        browser.until("it goes on", "return document.querySelector('#lane-0.is-paused') === null").await;
        assert_eq!(browser.js("return document.activeElement.id").await, json!("lane-0"));
        // By Tab and Enter as any button.
        browser.js("document.querySelector('#lane-0-turn').focus()").await;
        browser.press(KEY_ENTER).await;
        browser.until("it is paused", "return document.querySelector('#lane-0.is-paused #lane-0-turn') === document.activeElement").await;
        browser.press(KEY_ENTER).await;
        browser.until("it goes on", "return document.querySelector('#lane-0.is-paused') === null").await;

        browser.js("document.activeElement.blur(); document.querySelector('.failures > li').focus()").await;
        browser.press('r').await;
        is_said(browser, "3 photos will be looked at again.").await;
        browser.until("one reason is left", "return document.querySelectorAll('.failures > li').length === 1").await;
        assert_eq!(workshop.failed(), 1);
        browser.press('R').await;
        browser.until("none is left", "return document.querySelector('.failures') === null").await;
        assert_eq!(workshop.failed(), 0);
        // A search that makes no sense is told of, and changes nothing.
        browser.client.find(fantoccini::Locator::Css("#first-q")).await.unwrap().send_keys("rating:oops").await.unwrap();
        browser.press(KEY_ENTER).await;
        browser.until("it is told", "return document.querySelector('.done-toast')?.textContent.includes('Not done') === true").await;
        assert_eq!(browser.js("return document.querySelectorAll('.lane').length").await, json!(2));
    });
}

#[test]
fn a_phone_shows_the_tasks_and_the_strip_leads_to_them() {
    let workshop = painted();
    let app = workshop.serve();
    browse_at(Window::Phone, &app, async |browser| {
        browser.client.goto(&format!("{}/", browser.origin)).await.unwrap();
        browser.until("the strip says it", "return document.querySelector('#status .strip a[href=\"/tasks\"]') !== null").await;
        browser.shot("tasks-strip-390").await;
        browser.click("#status .strip a[href='/tasks']").await;
        browser.until("the page lives", "return document.querySelectorAll('.lane').length === 2").await;
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390").await, json!(true));
        let small =
            "return [...document.querySelectorAll('.tasks button')].filter((button) => button.getBoundingClientRect().height < 40).length";
        assert_eq!(browser.js(small).await, json!(0), "every button has room for a finger");
        browser.looks_right("tasks-390").await;
        browser.js("document.querySelector('#failed-head').scrollIntoView()").await;
        browser.shot("tasks-failed-390").await;
        browser.click("[data-act=theme]").await;
        browser.shot("tasks-390-other-theme").await;
    });
}

#[test]
fn without_scripts_a_lane_is_paused_by_a_form() {
    let workshop = Workshop::new();
    let app = workshop.serve();
    browse_at(Window::NoScripts, &app, async |browser| {
        browser.client.goto(&format!("{}/tasks", browser.origin)).await.unwrap();
        browser.click("#lane-0-turn").await;
        browser.reaches("/tasks").await;
        browser.client.wait().for_element(fantoccini::Locator::Css("#lane-0.is-paused")).await.unwrap();
        browser.shot("tasks-noscript").await;
        assert!(workshop.is_paused(EMBED));
    });
}
