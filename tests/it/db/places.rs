//! Names of coordinates: filled in for images that lack them, found by free words and keys, never over what is said, and made the
//! owner's own only when asked.

use diesel::{PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use hm::{
    db::{
        edits::{Selection, Turn, apply_edits, list_outbox, turn_batch},
        gallery::list_cards,
        places::name_coordinates,
    },
    models::{
        Direction, Filter, Gps, ImageId,
        edit::{Change, Place, Value},
    },
};

use crate::support::{
    TestDatabase,
    library::{image, vault},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn names(conn: &mut PgConnection, id: ImageId) -> String {
    let sql = format!(
        "SELECT concat_ws(' / ', coalesce(city, '-'), coalesce(country, '-'), gps_city, gps_state, gps_country, gps_country_code) AS line FROM images WHERE id = {id}"
    );
    sql_query(sql).get_result::<Line>(conn).unwrap().line
}

fn found(conn: &mut PgConnection, query: &str) -> Vec<String> {
    let filter = Filter { query: query.parse().unwrap(), ..Filter::default() };
    let mut names: Vec<String> =
        list_cards(conn, &filter, None, Direction::Older, 100).unwrap().into_iter().map(|card| card.base_name).collect();
    names.sort();
    names
}

/// `old` was placed by an older hm, `said` too and its file names a city, `nowhere` has no place.
fn library(conn: &mut PgConnection) -> (ImageId, ImageId, ImageId) {
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let mut placed = image("old");
    placed.has_gps = true;
    let old = placed.insert(conn, root);
    placed.name = "said".to_owned();
    placed.words = "said".to_owned();
    let said = placed.insert(conn, root);
    let nowhere = image("nowhere").insert(conn, root);
    conn.batch_execute(&format!(
        "UPDATE images SET city = 'Minga', search_words = search_words || '''minga'''::tsvector WHERE id = {said}"
    ))
    .unwrap();
    (old, said, nowhere)
}

#[test]
fn images_that_lack_names_get_them_a_few_at_a_time_and_only_once() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let (old, said, nowhere) = library(conn);
    assert!(found(conn, "city:munich").is_empty());
    assert_eq!([1, 5, 5].map(|most| name_coordinates(conn, most).unwrap()), [1, 1, 0]);
    assert_eq!(names(conn, old), "- / - / Munich / Bavaria / Germany / DE");
    assert_eq!(names(conn, said), "Minga / - / Munich / Bavaria / Germany / DE");
    assert_eq!(names(conn, nowhere), "- / -");
    // Free words find both; keys go by what is said first.
    for (query, expected) in [
        ("munich", &["old", "said"][..]),
        ("bavar", &["old", "said"]),
        ("minga", &["said"]),
        ("\"munich\"", &["old", "said"]),
        ("city:munich", &["old"]),
        ("city:minga", &["said"]),
        ("country:germany", &["old", "said"]),
        ("country:DE", &["old", "said"]),
        ("state:bavaria", &["old", "said"]),
        ("has:place", &["said"]),
        ("within:48,11,49,12", &["old", "said"]),
        ("within:48,12,49,11", &[]),
    ] {
        assert_eq!(found(conn, query), expected, "{query}");
    }
    // Another edition names anew.
    conn.batch_execute("UPDATE images SET gps_city = 'Old name', gps_edition = 0 WHERE latitude_deg IS NOT NULL").unwrap();
    assert_eq!(name_coordinates(conn, 10).unwrap(), 2);
    assert_eq!(names(conn, old), "- / - / Munich / Bavaria / Germany / DE");
}

#[test]
fn who_moves_an_image_renames_its_place_at_once() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let (old, _, nowhere) = library(conn);
    let mut place = |image: ImageId, gps: Option<(f64, f64)>| {
        let gps = gps.map(|(latitude_deg, longitude_deg)| Gps { latitude_deg, longitude_deg, altitude_m: None });
        apply_edits(conn, "owner", &Selection::Images(vec![image]), &[Change::Set(Value::Gps(gps))]).unwrap().unwrap();
        names(conn, image)
    };
    assert_eq!(place(nowhere, Some((47.3769, 8.5417))), "- / - / Zürich / Zurich / Switzerland / CH");
    assert_eq!(place(nowhere, Some((0.0, -30.0))), "- / -");
    assert_eq!(place(old, Some((48.2082, 16.3738))), "- / - / Vienna / Vienna / Austria / AT");
    assert_eq!(place(old, None), "- / -");
    assert!(found(conn, "vienna").is_empty() && found(conn, "zurich").is_empty(), "words of a place that is none any more");
}

#[test]
fn names_become_the_owners_only_when_asked_and_can_be_taken_back() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let (old, said, nowhere) = library(conn);
    name_coordinates(conn, 10).unwrap();
    assert!(list_outbox(conn, None, None, 10).unwrap().is_empty(), "names are written back unasked");
    let all = Selection::Images(vec![old, said, nowhere]);
    let batch = apply_edits(conn, "owner", &all, &[Change::NamePlace]).unwrap().unwrap();
    assert_eq!((batch.changed, batch.unchanged), (1, 2), "what has a name keeps it, and what has no coordinates gets none");
    assert_eq!(names(conn, old), "Munich / Germany / Munich / Bavaria / Germany / DE");
    assert_eq!(names(conn, said), "Minga / - / Munich / Bavaria / Germany / DE");
    let outbox = list_outbox(conn, None, None, 10).unwrap();
    let named = |text: &str| Some(text.to_owned());
    let munich = Place { city: named("Munich"), state: named("Bavaria"), country: named("Germany"), country_code: named("DE") };
    assert_eq!(outbox.iter().map(|entry| (entry.image, &entry.standing.value)).collect::<Vec<_>>(), [(old, &Value::Place(munich))]);
    turn_batch(conn, "owner", batch.id.unwrap(), Turn::Back).unwrap();
    assert_eq!(names(conn, old), "- / - / Munich / Bavaria / Germany / DE");
    // Coordinates and their names in one action: the names are those of the new place.
    let gps = Gps { latitude_deg: 47.3769, longitude_deg: 8.5417, altitude_m: None };
    let changes = [Change::NamePlace, Change::Set(Value::Gps(Some(gps)))];
    apply_edits(conn, "owner", &Selection::Images(vec![nowhere]), &changes).unwrap().unwrap();
    assert_eq!(names(conn, nowhere), "Zürich / Switzerland / Zürich / Zurich / Switzerland / CH");
}
