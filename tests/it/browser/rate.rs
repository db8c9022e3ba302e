//! The rating run by keys: ten photos within seconds, a burst to pick from, undo, the end of it, and a phone.

use std::time::{Duration, Instant};

use diesel::{RunQueryDsl, connection::SimpleConnection, sql_query};
use serde_json::{Value, json};

use super::{Browser, KEY_CONTROL, KEY_LEFT, KEY_RIGHT, KEY_SHIFT, Window, browse_in, editing::lines, full_library};

/// The photo that is shown, and chosen.
const CURRENT: &str = "return document.querySelector('.shot.is-current')?.dataset.id ?? null";

async fn open(browser: &Browser, path: &str) {
    browser.client.goto(&format!("{}{path}", browser.origin)).await.unwrap();
    browser.until("the first photo is here", "return document.querySelector('.shot.is-current .proxy.ready') !== null").await;
}

async fn current(browser: &Browser) -> String {
    match browser.js(CURRENT).await {
        Value::String(id) => id,
        other => panic!("no photo is shown: {other}"),
    }
}

/// Goes on to the moment of so many photos.
async fn skip_to(browser: &Browser, count: usize) {
    let shown = "return document.querySelectorAll('.shot').length";
    for _ in 0..20 {
        if browser.js(shown).await == json!(count) {
            return;
        }
        browser.js("document.querySelector('[data-act=skip]').click()").await;
    }
    browser.shot("failed").await;
    panic!("no moment has {count} photos");
}

async fn is_done(browser: &Browser, count: usize) {
    let script = format!("return document.querySelector('.rating-run .done').textContent.startsWith('{count} done')");
    browser.until(&format!("{count} are done"), &script).await;
}

#[test]
fn ten_photos_are_rated_within_ten_seconds_and_one_is_taken_back() {
    let (database, dir) = full_library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.client.goto(&format!("{}/rate", browser.origin)).await.unwrap();
        browser.until("years to choose from", "return document.querySelectorAll('.rate-choice h2').length > 5").await;
        browser.shot("rate-choice-1440").await;
        browser.click(".rate-choice ol a[href='/rate?year=2024&month=11']").await;
        browser.until("the first photo is here", "return document.querySelector('.shot.is-current .proxy.ready') !== null").await;
        let first = current(browser).await;
        let oldest = "SELECT id::text AS line FROM images WHERE captured_at >= '2024-11-01' ORDER BY captured_at, id LIMIT 10";
        let ids = lines(&database, oldest);
        assert_eq!(first, ids[0]);
        browser.shot("rate-1440").await;
        let began = Instant::now();
        for (index, key) in ['4', '3', 'x', '5', '1', 'p', '2', '4', '3', '5'].into_iter().enumerate() {
            assert_eq!(current(browser).await, ids[index]);
            browser.press(key).await;
            browser.until("the next is shown", &format!("return document.querySelector('.shot.is-current')?.dataset.id !== '{}' && document.querySelector('.shot.is-current img.ready') !== null", ids[index])).await;
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "ten photos took {took:?}");
        is_done(browser, 10).await;
        let wanted = "SELECT coalesce(string_agg(concat(rating, CASE WHEN pick = 'picked' THEN 'p' END), ',' ORDER BY captured_at, id), '') AS line FROM images \
            WHERE rating <> 0 OR pick <> 'none'";
        // The page goes on before the server has answered.
        for _ in 0..200 {
            if lines(&database, wanted) == ["4,3,-1,5,1,p,2,4,3,5"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(lines(&database, wanted), ["4,3,-1,5,1,p,2,4,3,5"]);
        browser
            .until("the last is said to be saved", "return document.querySelector('.rating-run .last').textContent.includes('5 stars')")
            .await;

        // Taken back: shown again, without stars, and rated otherwise.
        browser.press_with(KEY_CONTROL, 'z').await;
        browser.until("the tenth is shown again", &format!("const shot = document.querySelector('.shot.is-current'); return shot.dataset.id === '{}' && shot.dataset.rating === '0'", ids[9])).await;
        is_done(browser, 9).await;
        browser.press('1').await;
        is_done(browser, 10).await;
        browser.press(KEY_LEFT).await;
        browser.until("back to it", &format!("const shot = document.querySelector('.shot.is-current'); return shot.dataset.id === '{}' && shot.dataset.rating === '1'", ids[9])).await;
        browser.shot("rate-rated-1440").await;
        browser.press('?').await;
        browser.until("the keys are listed", "return document.getElementById('help').open").await;
    });
}

#[test]
fn a_burst_stands_side_by_side_and_the_best_of_it_is_kept() {
    let (database, dir) = full_library();
    let burst =
        "UPDATE images SET captured_at = timestamp '2024-12-01 11:00' + (id % 5) * interval '1 second' WHERE id BETWEEN 200 AND 204;
        UPDATE images SET captured_at = '2024-12-01 11:00:10' WHERE id = 205;";
    database.connection().batch_execute(burst).unwrap();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open(browser, "/rate?q=date:2024-12-01..2024-12-02").await;
        skip_to(browser, 5).await;
        browser.until("its pictures", "return document.querySelectorAll('.shot .proxy.ready').length === 5").await;
        browser.press(KEY_RIGHT).await;
        browser.press(KEY_RIGHT).await;
        assert_eq!(current(browser).await, "202");
        browser.shot("rate-burst-1440").await;
        browser.press_with(KEY_SHIFT, '4').await;
        browser.until("the next moment", "return document.querySelectorAll('.shot').length === 1").await;
        assert_eq!(current(browser).await, "205");
        browser.until("it is said", "return document.querySelector('.rating-run .last').textContent.includes('4 photos: Rejected')").await;
        let ratings = "SELECT string_agg(coalesce(rating, 0)::text, ',' ORDER BY id) AS line FROM images WHERE id BETWEEN 200 AND 204";
        assert_eq!(lines(&database, ratings), ["-1,-1,4,-1,-1"]);
        browser.press_with(KEY_CONTROL, 'z').await;
        browser.until("all five are there again", "return document.querySelectorAll('.shot').length === 5 && [...document.querySelectorAll('.shot')].every((shot) => shot.dataset.rating === '0')").await;
        assert_eq!(lines(&database, ratings), ["0,0,0,0,0"]);
        assert_eq!(current(browser).await, "202");
    });
}

/// A key too much is taken back at once, also where the server has not heard of it yet.
#[test]
fn what_is_on_its_way_is_what_undo_takes_back() {
    let (database, dir) = full_library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open(browser, "/rate?q=date:2024-12-01").await;
        let first = current(browser).await;
        browser.press('3').await;
        let next = format!(
            "return document.querySelector('.shot.is-current').dataset.id !== '{first}' && !document.documentElement.matches('[data-saving]')"
        );
        browser.until("the next, and all is saved", &next).await;
        let second = current(browser).await;
        browser.js("const real = fetch; window.fetch = async (address, options) => { if (options?.method === 'POST') await new Promise((done) => setTimeout(done, 600)); return real(address, options); }").await;
        browser.press('5').await;
        browser.press_with(KEY_CONTROL, 'z').await;
        browser.until("it is taken back", "return document.querySelector('.rating-run .last').textContent.startsWith('Undone: ')").await;
        let again = format!("return document.querySelector('.shot.is-current').dataset.id === '{second}'");
        browser.until("it is shown again", &again).await;
        let rating =
            |id: &str| lines(&database, &format!("SELECT coalesce(rating, 0)::text AS line FROM images WHERE id = {id}")).remove(0);
        assert_eq!((rating(&first), rating(&second)), ("3".to_owned(), "0".to_owned()));
        browser.press_with(KEY_CONTROL, 'z').await;
        browser.press_with(KEY_CONTROL, 'y').await;
        browser.until("done again", "return document.querySelector('.rating-run .last').textContent.startsWith('Done again: ')").await;
        assert_eq!((rating(&first), rating(&second)), ("3".to_owned(), "0".to_owned()), "one after the other");
    });
}

#[test]
fn the_end_of_a_run_leads_on_and_a_failure_goes_back() {
    let (database, dir) = full_library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        open(browser, "/rate?q=date:2024-12-30..2024-12-31").await;
        browser.js("const real = fetch; window.fetch = (address, options) => options?.method === 'POST' ? Promise.reject(new TypeError('gone')) : real(address, options); window.mend = () => { window.fetch = real; }").await;
        let first = current(browser).await;
        browser.press('5').await;
        browser
            .until(
                "it is said",
                "return document.querySelector('.done-toast.alarm')?.textContent.includes('the server does not answer') === true",
            )
            .await;
        browser.until("the same photo, without stars", &format!("const shot = document.querySelector('.shot.is-current'); return shot?.dataset.id === '{first}' && shot.dataset.rating === '0'")).await;
        is_done(browser, 0).await;
        browser.js("window.mend()").await;
        for _ in 0..9 {
            browser.press('2').await;
        }
        browser.until("the end", "return document.activeElement.matches('.finish')").await;
        browser.shot("rate-end-1440").await;
        browser.until("all is saved", "return !document.documentElement.matches('[data-saving]')").await;
        browser.click(".finish .ways a:nth-child(2)").await;
        browser.until("those that have stars", "return document.querySelector('.shot.is-current')?.dataset.rating === '2'").await;
        assert_eq!(lines(&database, "SELECT count(*)::text AS line FROM images WHERE rating = 2"), ["9"]);
    });
}

#[test]
fn a_phone_rates_by_touch() {
    let (database, dir) = full_library();
    sql_query("UPDATE images SET captured_at = timestamp '2024-12-01 11:00' + (id % 3) * interval '1 second' WHERE id BETWEEN 300 AND 302")
        .execute(&mut database.connection())
        .unwrap();
    browse_in(Window::Phone, &database, dir.path(), async |browser| {
        let is_narrow = "return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390";
        browser.client.goto(&format!("{}/rate", browser.origin)).await.unwrap();
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("rate-choice-390").await;
        open(browser, "/rate?q=date:2024-12-01").await;
        browser.click(".rate-bar [data-star='4']").await;
        is_done(browser, 1).await;
        skip_to(browser, 3).await;
        browser.until("its pictures", "return document.querySelectorAll('.shot .proxy.ready').length === 3").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("rate-burst-390").await;
    });
}
