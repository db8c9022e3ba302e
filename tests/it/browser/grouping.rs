//! Split and merge by clicks, over files that are really scanned, and that no rescan undoes them.

use std::path::Path;

use fantoccini::Locator;
use serde_json::json;

use super::{KEY_ENTER, Window, browse_in};
use crate::support::{TestDatabase, hm_command, media::Jpeg, temp_dir};

/// Scans a folder of four pictures, two of which are one image; again with each call of what is returned.
fn scanned(database: &TestDatabase, dir: &Path) -> impl Fn() {
    let photos = dir.join("photos");
    let picture = |name: &str, shade: u8, taken: &str| {
        Jpeg::new(48, 32).shade(shade).camera("Canon", "Canon EOS R6").taken(taken).write(&photos.join(name));
    };
    picture("IMG_0001.jpg", 10, "2019:08:03 12:00:00");
    picture("IMG_0001-Edit.jpg", 20, "2019:08:03 12:00:00");
    picture("IMG_0002.jpg", 30, "2019:08:03 12:05:00");
    picture("IMG_0003.jpg", 40, "2019:08:04 12:05:00");
    let scan = move || {
        let mut command = hm_command();
        command.env("HM_DATABASE_URL", database.url()).env("HM_REDIS_URL", "redis://127.0.0.1:1/");
        let output = command.arg("--data-dir").arg(photos.with_file_name("data")).arg("scan").arg(&photos).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    scan();
    scan
}

#[test]
fn files_are_split_off_and_merged_by_clicks_and_a_rescan_keeps_it() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let scan = scanned(&database, dir.path());
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        let click = async |selector: &str| browser.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
        let tiles = "return [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.name).sort()";
        let files = "return [...document.querySelectorAll('.files b')].map((name) => name.textContent).sort()";
        browser.open("/").await;
        assert_eq!(browser.js(tiles).await, json!(["IMG_0001", "IMG_0002", "IMG_0003"]));

        // Split: in the viewer, one of two files.
        browser.js("document.querySelector('.tile[data-name=IMG_0001] > a').focus()").await;
        browser.press(KEY_ENTER).await;
        browser.until("the viewer's page is here", "return document.querySelectorAll('dialog .files li').length === 2").await;
        browser.press('i').await;
        let whole = browser.address().await;
        click("dialog .files li:has(a[aria-label='Download IMG_0001-Edit.jpg']) input").await;
        browser.shot("split-1440").await;
        click("dialog .facts form[action$='/split'] [type=submit]").await;
        browser
            .until(
                "the new image's page",
                &format!("return location.pathname !== '{whole}' && document.querySelector('main > .viewer') !== null"),
            )
            .await;
        assert_eq!(browser.js(files).await, json!(["IMG_0001-Edit.jpg"]));

        assert_eq!(browser.js("return document.documentElement.clientWidth === innerWidth").await, json!(true), "the page has a scrollbar");

        // Taken back, and done again on the page it led back to.
        browser.shot("split-done-1440").await;
        click(".facts .undo-split [type=submit]").await;
        browser
            .until("one again", &format!("return location.pathname === '{whole}' && document.querySelectorAll('.files li').length === 2"))
            .await;
        click(".files li:has(a[aria-label='Download IMG_0001-Edit.jpg']) input").await;
        click(".facts form[action$='/split'] [type=submit]").await;
        browser
            .until("apart again", &format!("return location.pathname !== '{whole}' && document.querySelector('.undo-split') !== null"))
            .await;
        browser.back().await;
        browser
            .until(
                "back at what is left",
                &format!("return location.pathname === '{whole}' && document.querySelectorAll('.files li').length > 0"),
            )
            .await;
        assert_eq!(browser.js(files).await, json!(["IMG_0001.jpg"]), "going back shows what is no more");
        let four = json!(["IMG_0001", "IMG_0001-Edit", "IMG_0002", "IMG_0003"]);
        browser.open("/").await;
        assert_eq!(browser.js(tiles).await, four);
        scan();
        browser.open("/").await;
        assert_eq!(browser.js(tiles).await, four, "a rescan undid the split");

        // Merge: chosen in the grid, in two days, and back to the very filter.
        browser.open("/?year=2019").await;
        for name in ["IMG_0001-Edit", "IMG_0001", "IMG_0002"] {
            click(&format!(".tile[data-name='{name}'] .pick")).await;
        }
        browser.until("three are chosen", "return document.querySelector('.how-many').textContent === '3 selected'").await;
        click("#selection [data-act=merge]").await;
        browser
            .until(
                "two are left, in the same view",
                "return location.search.startsWith('?year=2019') && document.querySelectorAll('.tile').length === 2",
            )
            .await;
        assert_eq!(browser.js("return document.documentElement.classList.contains('selecting')").await, json!(false));
        scan();
        browser.open("/").await;
        assert_eq!(browser.js(tiles).await, json!(["IMG_0001", "IMG_0003"]), "a rescan undid the merge");
        browser.js("document.querySelector('.tile[data-name=IMG_0001] > a').click()").await;
        browser.until("all its files", "return document.querySelectorAll('dialog .files li').length === 3").await;
    });
}

#[test]
fn a_split_is_taken_back_on_a_phone() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let _scan = scanned(&database, dir.path());
    browse_in(Window::Phone, &database, dir.path(), async |browser| {
        browser.open("/").await;
        browser.js("document.querySelector('.tile[data-name=IMG_0001] > a').click()").await;
        browser.until("the viewer's page is here", "return document.querySelectorAll('dialog .files li').length === 2").await;
        let whole = browser.address().await;
        browser.click("dialog .over-bar [data-act=facts]").await;
        browser.js("document.querySelector('dialog .files li:has(a[aria-label=\"Download IMG_0001-Edit.jpg\"]) input').click()").await;
        browser.shot("split-390").await;
        browser.js("document.querySelector('dialog .facts form[action$=\"/split\"] [type=submit]').click()").await;
        browser.until("the new image's page", "return document.querySelector('main > .viewer .undo-split') !== null").await;
        browser.shot("split-done-390").await;
        browser.click(".facts .undo-split [type=submit]").await;
        browser
            .until("one again", &format!("return location.pathname === '{whole}' && document.querySelectorAll('.files li').length === 2"))
            .await;
    });
}
