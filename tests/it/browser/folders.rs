//! Choosing a folder in the panel of filters: by typing, by keys, and taking it away again.

use diesel::connection::SimpleConnection;
use fantoccini::Locator;
use serde_json::json;

use super::{KEY_DOWN, KEY_ENTER, Window, browse_in};
use crate::support::{
    TestDatabase,
    library::{folder, image, vault},
    temp_dir,
};

#[test]
fn a_folder_is_found_by_typing_and_taken_away_by_its_chip() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    let root = vault(&mut conn, "Photos", dir.path());
    for year in 2001..=2022 {
        let year_folder = folder(&mut conn, root, &year.to_string());
        let lake = folder(&mut conn, year_folder, "Lake Garda");
        let town = folder(&mut conn, year_folder, "Town");
        image("A").at(&format!("{year}-05-01 10:00:00")).insert(&mut conn, lake);
        image("B").at(&format!("{year}-06-01 10:00:00")).insert(&mut conn, town);
    }
    conn.batch_execute("ANALYZE").unwrap();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.open("/").await;
        browser.client.find(Locator::Css("details.filters summary")).await.unwrap().click().await.unwrap();
        let options = "return [...document.querySelectorAll('.filters select[name=folder] option')].map((option) => option.textContent)";
        browser
            .until(
                "folders are offered",
                &options.replace("return ", "return 3 < ").replace(".map((option) => option.textContent)", ".length"),
            )
            .await;
        let offered = browser.js(options).await;
        assert_eq!((&offered[0], &offered[1], &offered[2]), (&json!("All folders"), &json!("Photos (44)"), &json!("Photos/2001 (2)")));
        let field = browser.client.find(Locator::Css(".filters [data-find]")).await.unwrap();
        field.send_keys("garda 2013").await.unwrap();
        browser
            .until(
                "one is found",
                &format!("return JSON.stringify((() => {{ {options} }})()) === '[\"All folders\",\"Photos/2013/Lake Garda (1)\"]'"),
            )
            .await;
        browser.shot("folder-choice-1440").await;
        let value = "return document.querySelector('.filters select[name=folder]').value";
        assert_eq!(browser.js(value).await, json!(""), "typing alone chooses a folder");
        browser.press(KEY_DOWN).await;
        browser.press(KEY_ENTER).await;
        browser.client.find(Locator::Css(".filters button[type=submit]")).await.unwrap().click().await.unwrap();
        browser.until("only that folder", "return /^\\?folder=\\d+$/.test(location.search)").await;
        browser.until("its one photo", "return document.querySelectorAll('.tile').length === 1").await;
        let chip = browser.client.find(Locator::Css(".chip")).await.unwrap();
        assert_eq!(chip.text().await.unwrap(), "Folder Photos/2013/Lake Garda");
        browser.client.find(Locator::Css("details.filters summary")).await.unwrap().click().await.unwrap();
        let chosen = "return document.querySelector('.filters select[name=folder]')?.selectedOptions[0].textContent.startsWith('Photos/2013/Lake Garda')";
        browser.until("the panel knows it", chosen).await;
        browser.js("document.querySelector('details.filters').open = false").await;
        chip.click().await.unwrap();
        browser.until("all photos", "return location.pathname === '/' && !location.search.includes('folder')").await;
    });
}
