//! Fingers on the viewer, as a touch screen sends them: swipes, pinches, double taps.

use std::time::Duration;

use fantoccini::actions::{Actions, InputSource, PointerAction, TouchActions};
use serde_json::json;

use super::{Browser, Window, browse};

const STEPS: u32 = 6;

/// A finger that goes down, moves evenly and goes up, taking its time.
fn drag(name: &str, from: (f64, f64), to: (f64, f64), all_ms: u64) -> TouchActions {
    let step = Duration::from_millis(all_ms / u64::from(STEPS));
    let start = PointerAction::MoveTo { duration: None, x: from.0, y: from.1 };
    let mut finger = TouchActions::new(name.to_owned()).then(start).then(PointerAction::Down { button: 0 });
    for number in 1..=STEPS {
        let share = f64::from(number) / f64::from(STEPS);
        let (x, y) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        finger = finger.then(PointerAction::MoveTo { duration: Some(step), x: x.round(), y: y.round() });
    }
    finger.then(PointerAction::Up { button: 0 })
}

fn tap(finger: TouchActions, (x, y): (f64, f64)) -> TouchActions {
    let finger = finger.then(PointerAction::MoveTo { duration: None, x, y }).then(PointerAction::Down { button: 0 });
    finger.pause(Duration::from_millis(30)).then(PointerAction::Up { button: 0 }).pause(Duration::from_millis(60))
}

impl Browser {
    async fn fingers(&self, actions: impl Into<Actions>) {
        self.client.perform_actions(actions).await.unwrap();
        self.client.release_actions().await.unwrap();
    }

    /// How much larger than the whole the picture is shown.
    async fn scale(&self) -> f64 {
        let scale = "return new DOMMatrix(getComputedStyle(document.querySelector('dialog .frame')).transform).a";
        self.js(scale).await.as_f64().unwrap()
    }

    async fn is_shown(&self, id: &str) {
        let shown = format!(
            "return location.pathname === '/images/{id}' && document.querySelector('dialog[open] .viewer')?.dataset.id === '{id}' \
            && document.querySelector('dialog .proxy.ready') !== null"
        );
        self.until(&format!("image {id} is shown"), &shown).await;
    }
}

#[test]
fn swipes_turn_the_pages_and_shut_the_viewer() {
    browse(Window::Phone, async |browser| {
        browser.open("/?at=2022-03-05").await;
        browser.has_pictures_on_screen("March 2022").await;
        let opened = browser
            .js("const tiles = [...document.querySelectorAll('.tile')]; \
                 const at = tiles.findIndex((tile) => tile.getBoundingClientRect().top > 250); tiles[at].querySelector('a').click(); \
                 return [tiles[at].dataset.id, tiles[at + 1].dataset.id]")
            .await;
        let [first, second] = [0, 1].map(|index| opened[index].as_str().unwrap().to_owned());
        browser.is_shown(&first).await;
        browser.fingers(drag("finger", (300.0, 420.0), (90.0, 430.0), 300)).await;
        browser.is_shown(&second).await;
        // From the very edge, where the links to the neighbours lie.
        browser.fingers(drag("finger", (20.0, 420.0), (240.0, 420.0), 300)).await;
        browser.is_shown(&first).await;
        // A short flick is enough, a short slow pull is not.
        // On a busy machine the driver may take so long over its steps that a flick becomes a pull, which goes back: then once more.
        for _ in 0..4 {
            browser.fingers(drag("finger", (300.0, 420.0), (262.0, 422.0), 60)).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
            if browser.address().await.ends_with(&format!("/{second}")) {
                break;
            }
        }
        browser.is_shown(&second).await;
        browser.fingers(drag("finger", (200.0, 420.0), (236.0, 420.0), 600)).await;
        browser
            .until(
                "the picture is back in its place",
                "return getComputedStyle(document.querySelector('dialog .frame')).transform === 'none'",
            )
            .await;
        browser.is_shown(&second).await;
        browser.fingers(drag("finger", (200.0, 300.0), (206.0, 520.0), 300)).await;
        browser.until("the viewer is shut", "return !document.querySelector('dialog.over').open && location.pathname === '/'").await;
    });
}

#[test]
fn two_fingers_and_two_taps_come_closer() {
    browse(Window::Phone, async |browser| {
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        let first =
            browser.js("const tile = document.querySelector('.tile'); tile.querySelector('a').click(); return tile.dataset.id").await;
        let first = first.as_str().unwrap().to_owned();
        browser.is_shown(&first).await;
        let apart =
            Actions::from(drag("left", (180.0, 420.0), (110.0, 420.0), 300)).and(drag("right", (210.0, 420.0), (280.0, 420.0), 300));
        browser.fingers(apart).await;
        let scale = browser.scale().await;
        assert!((4.0..8.0).contains(&scale), "fingers 30 px apart went 170 px apart: {scale}");
        // One finger now moves the picture and turns no page.
        let left = "return document.querySelector('dialog .box').getBoundingClientRect().left";
        let before = browser.js(left).await.as_f64().unwrap();
        browser.fingers(drag("finger", (300.0, 420.0), (200.0, 420.0), 200)).await;
        let moved = browser.js(left).await.as_f64().unwrap() - before;
        assert!((moved + 100.0).abs() < 4.0, "moved by {moved} px");
        browser.is_shown(&first).await;
        let together =
            Actions::from(drag("left", (60.0, 420.0), (190.0, 420.0), 300)).and(drag("right", (330.0, 420.0), (200.0, 420.0), 300));
        browser.fingers(together).await;
        assert!((browser.scale().await - 1.0).abs() < 0.01);
        browser.is_shown(&first).await;

        let twice = tap(tap(TouchActions::new("finger".to_owned()), (200.0, 400.0)), (202.0, 401.0));
        browser.fingers(twice).await;
        assert_eq!(browser.scale().await, 2.0, "two taps come closer");
        let twice = tap(tap(TouchActions::new("finger".to_owned()), (200.0, 400.0)), (202.0, 401.0));
        browser.fingers(twice).await;
        assert_eq!(browser.scale().await, 1.0, "and go back");
        let apart = tap(TouchActions::new("finger".to_owned()), (120.0, 300.0));
        browser.fingers(tap(apart, (260.0, 560.0))).await;
        assert_eq!(browser.scale().await, 1.0, "taps in two places are no double tap");
        assert_eq!(browser.js("return document.querySelector('dialog.over').open").await, json!(true));
    });
}
