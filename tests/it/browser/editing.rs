//! Changing pictures by keys and forms: in the viewer, for a selection, for all of a filter; taking it back; and what a failure looks like.

use diesel::{PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use serde_json::json;

use super::{
    Browser, KEY_CONTROL, KEY_DOWN, KEY_ENTER, KEY_ESCAPE, KEY_LEFT, KEY_RIGHT, KEY_SHIFT, Window, browse, browse_in, full_library,
};
use crate::support::TestDatabase;

/// Whether the marks of the viewer's panel and bar are these.
fn shows(rating: i8, pick: &str, color: &str) -> String {
    format!(
        "const facts = document.querySelector('.viewer .facts'); const {{ rating, pick, color }} = facts?.dataset ?? {{}}; \
         const lit = document.querySelectorAll('.rate-bar .lit').length; \
         return rating === '{rating}' && pick === '{pick}' && color === '{color}' && lit === Math.max(0, {rating})"
    )
}

pub(super) fn lines(database: &TestDatabase, sql: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let lines: Vec<Line> = sql_query(sql).load(&mut database.connection()).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

async fn open_first(browser: &Browser) -> String {
    browser.open("/").await;
    browser.has_pictures_on_screen("the first rows").await;
    browser.press(KEY_RIGHT).await;
    let id = browser.focused().await.as_str().unwrap().to_owned();
    browser.press(KEY_ENTER).await;
    browser.until("the viewer is open", "return document.querySelector('dialog[open] .facts .words') !== null").await;
    id
}

pub(super) async fn is_said(browser: &Browser, words: &str) {
    browser.until(words, &format!("return document.querySelector('.done-toast')?.textContent.includes({}) === true", json!(words))).await;
}

#[test]
fn pictures_are_rated_by_keys_and_it_is_taken_back() {
    let (database, dir) = full_library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        let first = open_first(browser).await;
        // Nothing is changed, and nothing is there to be taken back.
        browser.press('0').await;
        is_said(browser, "Not rated: as before").await;
        assert_eq!(browser.js("return document.querySelector('.done-toast [data-act=undo]')").await, json!(null));
        browser.press_with(KEY_CONTROL, 'z').await;
        is_said(browser, "There is nothing to undo").await;
        assert!(lines(&database, "SELECT id::text AS line FROM edits").is_empty());
        browser.press('4').await;
        browser.until("four stars", &shows(4, "none", "none")).await;
        is_said(browser, "4 stars").await;
        browser.shot("rated-1440").await;
        browser.press(']').await;
        browser.until("five stars", &shows(5, "none", "none")).await;
        browser.press('p').await;
        browser.press('6').await;
        browser.until("picked and red", &shows(5, "picked", "red")).await;
        browser.press('6').await;
        browser.until("the same colour again takes it away", &shows(5, "picked", "none")).await;
        browser.press('x').await;
        browser.until("rejected", &shows(-1, "none", "none")).await;
        is_said(browser, "Rejected").await;
        browser.press_with(KEY_CONTROL, 'z').await;
        browser.until("not rejected any more", &shows(5, "picked", "none")).await;
        is_said(browser, "Undone: 1 photo").await;

        // Shift goes on to the next, and what was done holds behind it.
        browser.press_with(KEY_SHIFT, '3').await;
        browser
            .until(
                "an older picture",
                &format!("return location.pathname !== '/images/{first}' && document.querySelector('.facts')?.dataset.rating === '0'"),
            )
            .await;
        browser.press(KEY_LEFT).await;
        browser.until("the first with three stars", &shows(3, "picked", "none")).await;
        browser.press_with(KEY_CONTROL, 'z').await;
        browser.until("five again", &shows(5, "picked", "none")).await;
        browser.press_with(KEY_CONTROL, 'y').await;
        browser.until("and three once more", &shows(3, "picked", "none")).await;
        is_said(browser, "Done again").await;
        browser.click(".rate-bar [data-star='3']").await;
        is_said(browser, "Not rated").await;
        browser.until("a click on the last star takes them away", &shows(0, "picked", "none")).await;
        browser.click(".done-toast [data-act=undo]").await;
        browser.until("by the button of the message", &shows(3, "picked", "none")).await;
        browser.press(KEY_ESCAPE).await;
        let tile = format!("return document.querySelector('.tile[data-id=\"{first}\"] .marks').textContent");
        assert_eq!(browser.js(&tile).await, json!("Rated 3Picked"));
        browser.has_pictures_on_screen("the tiles").await;
        browser.shot("marks-1440").await;
        assert_eq!(lines(&database, &format!("SELECT rating || ' ' || pick AS line FROM images WHERE id = {first}")), ["3 picked"]);
    });
}

#[test]
fn what_the_server_refuses_is_shown_as_it_was_and_said() {
    browse(Window::Desk, async |browser| {
        open_first(browser).await;
        browser.press('2').await;
        browser.until("two stars", &shows(2, "none", "none")).await;
        is_said(browser, "2 stars").await;
        browser.press('i').await;
        browser.click(".facts [data-name=change-place] summary").await;
        browser.js("document.querySelector('.facts [name=place]').focus()").await;
        browser.type_text("somewhere").await;
        browser.press(KEY_ENTER).await;
        is_said(browser, "Not saved").await;
        is_said(browser, "expected a latitude and a longitude").await;
        browser.shot("refused-1440").await;
        browser.js("const real = fetch; window.fetch = (address, options) => options?.method === 'POST' ? Promise.reject(new TypeError('gone')) : real(address, options)").await;
        browser.js("document.activeElement.blur()").await;
        browser.press('5').await;
        is_said(browser, "the server does not answer").await;
        browser.until("two stars again", &shows(2, "none", "none")).await;
        assert_eq!(browser.js("return document.querySelector('.done-toast').getAttribute('role')").await, json!("alert"));
    });
}

#[test]
fn titles_and_keywords_are_typed_and_completed_and_the_history_takes_each_back() {
    let (database, dir) = full_library();
    let keywords = "UPDATE images SET keywords = ARRAY['animal', 'dog'], hierarchical_keywords = ARRAY['animal|dog'] WHERE id % 1000 = 7";
    sql_query(keywords).execute(&mut database.connection()).unwrap();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        let id = open_first(browser).await;
        browser.press('i').await;
        browser.js("document.querySelector('.facts .title').focus()").await;
        browser.type_text("Lake <b>& sun").await;
        browser.press(KEY_ENTER).await;
        is_said(browser, "Title changed").await;
        browser.js("document.querySelector('.facts [name=add_keywords]').focus()").await;
        browser.type_text("lake, do").await;
        browser
            .until(
                "the tree is offered",
                "return document.querySelector('.facts .offered:not([hidden]) b')?.textContent === 'animal › dog'",
            )
            .await;
        browser.shot("keyword-completion-1440").await;
        browser.press(KEY_DOWN).await;
        browser.press(KEY_ENTER).await;
        is_said(browser, "Keywords added: animal › dog, lake").await;
        let tags = "return [...document.querySelectorAll('.facts .tags a')].map((tag) => tag.textContent).join()";
        browser.until("both are shown", "return document.querySelectorAll('.facts .tags a').length === 2").await;
        assert_eq!(browser.js(tags).await, json!("animal › dog,lake"));
        browser
            .until("the next can be typed", "return document.activeElement.name === 'add_keywords' && document.activeElement.value === ''")
            .await;
        browser.click(".facts .tags [value=lake]").await;
        is_said(browser, "Keyword removed: lake").await;
        let said = "SELECT concat_ws(' ', title, hierarchical_keywords) AS line FROM images WHERE id = ";
        assert_eq!(lines(&database, &format!("{said}{id}")), ["Lake <b>& sun {animal|dog}"]);

        // A time and a place, then each taken back where the history lists it.
        browser.click(".facts [data-name=change-place] summary").await;
        browser.js("document.querySelector('.facts [name=place]').focus()").await;
        browser.type_text("48°8'13.6\"N 11°34'31\"E").await;
        browser.press(KEY_ENTER).await;
        is_said(browser, "Place: 48.13711° N, 11.57528° E").await;
        browser.click(".facts [data-name=change-time] summary").await;
        browser.js("document.querySelector('.facts [name=shift_time]').focus()").await;
        browser.type_text("-1:30").await;
        browser.press(KEY_ENTER).await;
        is_said(browser, "Time moved by -1:30:00").await;
        browser.js("document.querySelector('.facts .history summary').click()").await;
        browser.until("the history is here", "return document.querySelectorAll('.facts .entries li').length === 5").await;
        browser.js("document.querySelector('.facts .history').scrollIntoView()").await;
        browser.shot("history-1440").await;
        let entry = "return document.querySelector('.facts .entries li:last-child b').parentElement.textContent";
        assert_eq!(browser.js(entry).await, json!("Title Nothing → Lake <b>& sun"));
        browser.click(".facts .entries li:last-child button").await;
        is_said(browser, "Undone: 1 photo").await;
        browser
            .until("the entry says so", "return document.querySelector('.facts .entries li:last-child')?.matches('.is-undone') === true")
            .await;
        let rest = "SELECT concat_ws(' ', title, hierarchical_keywords, round(latitude_deg::numeric, 3)) AS line FROM images WHERE id = ";
        assert_eq!(lines(&database, &format!("{rest}{id}")), ["{animal|dog} 48.137"]);
    });
}

#[test]
fn all_of_a_filter_is_rated_at_once_and_taken_back_at_once() {
    let (database, dir) = full_library();
    let rated = || lines(&database, "SELECT count(*)::text AS line FROM images WHERE rating = 3").remove(0);
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.open("/?q=camera:%22Camera%202%22").await;
        browser.has_pictures_on_screen("its pictures").await;
        browser.press_with(KEY_CONTROL, 'a').await;
        browser.until("all are chosen", "return document.querySelector('.how-many').textContent === '6,667 selected'").await;
        browser.press(KEY_RIGHT).await;
        browser.press(' ').await;
        browser.until("but one", "return document.querySelector('.how-many').textContent === '6,666 selected'").await;
        browser.shot("all-selected-1440").await;
        browser.press('3').await;
        is_said(browser, "6,666 photos: 3 stars").await;
        assert_eq!(rated(), "6666");
        browser.shot("all-rated-1440").await;
        let marks = "return [...document.querySelectorAll('.tile')].filter((tile) => tile.dataset.rating !== '3').length";
        assert_eq!(browser.js(marks).await, json!(1));
        // Days that come onto the page later say so too.
        browser.js("scrollTo(0, 30000)").await;
        browser.has_pictures_on_screen("further down").await;
        // The one left out has the focus and stays on the page.
        browser
            .until(
                "all of them",
                &marks.replace(".length", ".length === 1 && document.querySelectorAll('.tile').length > 20 && scrollY > 20000"),
            )
            .await;
        browser.press_with(KEY_CONTROL, 'z').await;
        is_said(browser, "Undone: 6,666 photos").await;
        assert_eq!(rated(), "0");
        browser
            .until("the tiles are as before", "return [...document.querySelectorAll('.tile')].every((tile) => tile.dataset.rating === '0')")
            .await;
    });
}

/// What takes long says how far it is, in the bar of the selection or where all else is said.
#[test]
fn a_slow_change_and_its_undo_say_how_far_they_are() {
    let (database, dir) = full_library();
    // Whoever holds the last image of the filter makes others wait.
    let last = lines(
        &database,
        "SELECT max(i.id)::text AS line FROM images AS i JOIN cameras AS c ON c.id = i.camera_id WHERE c.name = 'Camera 2'",
    );
    let hold =
        |conn: &mut PgConnection| conn.batch_execute(&format!("BEGIN; SELECT FROM images WHERE id = {} FOR UPDATE", last[0])).unwrap();
    let holder = &mut database.connection();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.open("/?q=camera:%22Camera%202%22").await;
        browser.has_pictures_on_screen("its pictures").await;
        browser.press_with(KEY_CONTROL, 'a').await;
        browser.until("all are chosen", "return document.querySelector('.how-many').textContent === '6,667 selected'").await;
        hold(holder);
        browser.press('3').await;
        let bar = "const bar = document.querySelector('.selection progress'); return !bar.hidden && bar.value === 6000 && bar.max === 6667 && document.querySelector('.how-many').textContent === 'Changing 6,000 of 6,667 …'";
        browser.until("the bar says how far it is", bar).await;
        browser.shot("changing-1440").await;
        holder.batch_execute("COMMIT").unwrap();
        is_said(browser, "6,667 photos: 3 stars").await;
        browser.until("the bar is as before", "return document.querySelector('.selection progress').hidden && document.querySelector('.how-many').textContent === '6,667 selected'").await;
        hold(holder);
        browser.press_with(KEY_CONTROL, 'z').await;
        is_said(browser, "Taking back 6,000 of 6,667 …").await;
        browser
            .until(
                "as a bar too",
                "const bar = document.querySelector('.done-toast progress'); return bar.value === 6000 && bar.max === 6667",
            )
            .await;
        browser.shot("taking-back-1440").await;
        holder.batch_execute("COMMIT").unwrap();
        is_said(browser, "Undone: 6,667 photos").await;
        hold(holder);
        browser.press_with(KEY_CONTROL, 'y').await;
        is_said(browser, "Doing again 6,000 of 6,667 …").await;
        holder.batch_execute("COMMIT").unwrap();
        is_said(browser, "Done again: 6,667 photos").await;
    });
    assert_eq!(lines(&database, "SELECT count(*)::text AS line FROM images WHERE rating = 3"), ["6667"]);
}

#[test]
fn ranges_days_and_drags_are_chosen_and_changed_together() {
    let (database, dir) = full_library();
    browse_in(Window::Desk, &database, dir.path(), async |browser| {
        browser.open("/?at=2023-04-10").await;
        browser.has_pictures_on_screen("the long day").await;
        let count = "return document.querySelector('.how-many').textContent";
        // The whole of a day, most of which is not on the page.
        browser.js("document.querySelector('.day[data-day=\"2023-04-10\"] .pick-day').click()").await;
        browser.until("all of the day", "return document.querySelector('.how-many').textContent === '1,200 selected'").await;
        browser.press(KEY_ESCAPE).await;
        // From a picture of this day to one some months before.
        browser.js("document.querySelector('.tile > a').focus()").await;
        browser.press(' ').await;
        browser.open("/?at=2023-04-10").await;
        browser.has_pictures_on_screen("again").await;
        browser.js("document.querySelector('.day[data-day=\"2023-04-10\"] .tile > a').focus({ preventScroll: true })").await;
        browser.press(' ').await;
        browser.press('m').await;
        browser.has_pictures_on_screen("March").await;
        browser.js("[...document.querySelectorAll('.day[data-day^=\"2023-03\"] .tile > a')][0].focus({ preventScroll: true })").await;
        browser.press_with(KEY_SHIFT, ' ').await;
        browser
            .until(
                "the range, seen or not",
                "return Number(document.querySelector('.how-many').textContent.split(' ')[0].replace(',', '')) > 1200",
            )
            .await;
        let sql = "SELECT count(*)::text AS line FROM images WHERE captured_at <= '2023-04-10 12:00' AND captured_at::date >= \
            (SELECT max(captured_at)::date FROM images WHERE captured_at < '2023-04-01')";
        let chosen: i64 = browser.js(count).await.as_str().unwrap().split(' ').next().unwrap().replace(',', "").parse().unwrap();
        let between: i64 = lines(&database, sql)[0].parse().unwrap();
        assert!((between - 6..=between).contains(&chosen), "{chosen} of {between}");
        browser.press(KEY_ESCAPE).await;

        // Dragging with the mouse over three pictures; the click that ends it opens nothing.
        browser.open("/").await;
        browser.has_pictures_on_screen("the first rows").await;
        let drag = "const tiles = [...document.querySelectorAll('.tile')].slice(0, 3); \
            const at = (tile) => { const { left, top, width, height } = tile.getBoundingClientRect(); return [left + width / 2, top + height / 2]; }; \
            const send = (name, target, [clientX, clientY]) => target.dispatchEvent(new PointerEvent(name, { clientX, clientY, pointerId: 1, button: 0, pointerType: 'mouse', bubbles: true })); \
            send('pointerdown', tiles[0].querySelector('img'), at(tiles[0])); send('pointermove', tiles[1], at(tiles[1])); send('pointermove', tiles[2], at(tiles[2])); \
            send('pointerup', tiles[2], at(tiles[2])); tiles[2].querySelector('a').click(); return document.querySelector('.how-many').textContent";
        assert_eq!(browser.js(drag).await, json!("3 selected"));
        assert_eq!(browser.js("return document.querySelector('dialog.over').open").await, json!(false));
        browser.click(".more-edits summary").await;
        browser.js("document.querySelector('.more-edits [name=add_keywords]').focus()").await;
        browser.type_text("trip > lake").await;
        browser.shot("more-edits-1440").await;
        browser.press(KEY_ENTER).await;
        is_said(browser, "3 photos: Keyword added: trip › lake").await;
        assert_eq!(lines(&database, "SELECT count(*)::text AS line FROM images WHERE 'trip|lake' = ANY(hierarchical_keywords)"), ["3"]);
        browser.click("#selection [name=flag][value=reject]").await;
        is_said(browser, "3 photos: Rejected").await;
        browser.shot("rejected-1440").await;
    });
}

#[test]
fn a_phone_rates_selects_and_writes_without_scrolling_sideways() {
    browse(Window::Phone, async |browser| {
        let is_narrow = "return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390";
        open_first(browser).await;
        browser.click(".rate-bar [data-star='4']").await;
        browser.until("four stars", &shows(4, "none", "none")).await;
        browser.shot("rated-390").await;
        browser.click("dialog [data-act=facts]").await;
        browser.click(".facts [data-name=change-place] summary").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("panel-390").await;
        browser.js("document.querySelector('.facts [data-act=facts]').click()").await;
        browser.press(KEY_ESCAPE).await;
        browser.until("the viewer is shut", "return !document.querySelector('dialog.over').open").await;
        browser
            .js("for (const tile of [...document.querySelectorAll('.tile')].slice(0, 4)) tile.querySelector('.pick input').click()")
            .await;
        browser.until("four are chosen", "return document.querySelector('.how-many').textContent === '4 selected'").await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("selection-390").await;
        browser.click("#selection [name=rating][value='5']").await;
        is_said(browser, "4 photos: 5 stars").await;
        browser.shot("selection-rated-390").await;
        browser.click(".more-edits summary").await;
        browser
            .until("the sheet is open", "return document.querySelector('.more-edits .panel').getBoundingClientRect().height > 200")
            .await;
        assert_eq!(browser.js(is_narrow).await, json!(true));
        browser.shot("more-edits-390").await;
        // The sheet lies over the button that opened it: a tap beside it shuts it and chooses nothing, and so does its own button.
        let is_shut =
            "return !document.querySelector('.more-edits').open && document.querySelector('.how-many').textContent === '4 selected'";
        browser.js("document.querySelectorAll('.tile > a')[1].click()").await;
        browser.until("a tap beside it shuts it", is_shut).await;
        browser.click(".more-edits summary").await;
        browser.click("[data-act=shut-more]").await;
        browser.until("its button shuts it", is_shut).await;
    });
}

#[test]
fn without_scripts_forms_change_pictures() {
    let (database, dir) = full_library();
    browse_in(Window::NoScripts, &database, dir.path(), async |browser| {
        browser.client.goto(&format!("{}/images/7?year=2024", browser.origin)).await.unwrap();
        browser.click(".rate-bar [value='4']").await;
        browser.client.wait().for_element(fantoccini::Locator::Css(".rate-bar [data-star='4'].lit")).await.unwrap();
        browser.reaches("/images/7?year=2024").await;
        let title = browser.client.find(fantoccini::Locator::Css(".facts .title")).await.unwrap();
        title.send_keys("By hand").await.unwrap();
        browser.click(".facts .words .button").await;
        browser.client.wait().for_element(fantoccini::Locator::Css(".facts .title[value='By hand']")).await.unwrap();
        browser.shot("no-scripts-edited").await;
        assert_eq!(lines(&database, "SELECT rating || title AS line FROM images WHERE id = 7"), ["4By hand"]);
        browser.client.goto(&format!("{}/?year=2024", browser.origin)).await.unwrap();
        for box_ in browser.client.find_all(fantoccini::Locator::Css(".pick input")).await.unwrap().into_iter().take(2) {
            box_.click().await.unwrap();
        }
        browser.click("#selection [value='2']").await;
        browser.client.wait().for_element(fantoccini::Locator::Css(".tile[data-rating='2']")).await.unwrap();
        browser.reaches("/?year=2024").await;
        assert_eq!(lines(&database, "SELECT count(*)::text AS line FROM images WHERE rating = 2"), ["2"]);
        browser.client.goto(&format!("{}/images/7/history", browser.origin)).await.unwrap();
        browser.click(".entries li:last-child button").await;
        browser.client.wait().for_element(fantoccini::Locator::Css(".entries .is-undone")).await.unwrap();
        browser.reaches("/images/7/history").await;
        browser.shot("no-scripts-history").await;
        assert_eq!(lines(&database, "SELECT concat(rating, title) AS line FROM images WHERE id = 7"), ["By hand"]);
    });
}
