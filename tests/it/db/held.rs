//! What networks found, counted and removed: all of it and in batches, and nothing of another network or with a person's word in it.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    db::{
        networks::{self, delete_network},
        results::{count_lacking, delete_results, list_held_results, record},
        vectors::{build_index, drop_index},
    },
    models::{
        ImageId, NetworkId,
        task::{Answer, Failure, Lane, Outcome},
    },
};

use super::results::{detector, embedder, outcome, regions, register};
use crate::support::{
    self, TestDatabase,
    library::{picture_key, pictured, vault},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn line(conn: &mut PgConnection, sql: &str) -> String {
    sql_query(format!("SELECT ({sql})::text AS line")).get_result::<Line>(conn).unwrap().line
}

/// As of another version of the detector.
fn older() -> Lane {
    "detect/yolo11n@000000".parse().unwrap()
}

fn seen(lane: &Lane, image: ImageId, answer: Result<Answer, Failure>) -> Outcome {
    outcome(lane, image, picture_key(image.0), answer)
}

/// Name and version, images, things found, and those that people decided on.
fn held(conn: &mut PgConnection) -> Vec<(String, i64, i64, i64)> {
    let all = list_held_results(conn).unwrap();
    all.into_iter().map(|held| (held.network.card.lane.to_string(), held.images, held.regions, held.decided)).collect()
}

/// Removes all, a batch at a time; how many images each was.
fn delete_all(conn: &mut PgConnection, network: NetworkId, most: i64) -> Vec<usize> {
    let batches: Vec<usize> =
        std::iter::repeat_with(|| delete_results(conn, network, most).unwrap()).take_while(|done| *done > 0).collect();
    assert_eq!(delete_results(conn, network, most).unwrap(), 0);
    batches
}

#[test]
fn what_a_network_found_goes_in_batches_and_a_persons_word_stays() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let (old, new) = (register(conn, &older()), register(conn, &detector()));
    let images = pictured(conn, root, 7);
    let answers = |lane: &Lane| -> Vec<Outcome> { images.iter().map(|image| seen(lane, *image, regions(&["dog", "cat"]))).collect() };
    record(conn, &answers(&older())).unwrap();
    record(conn, &answers(&detector())).unwrap();
    let failed = Err(Failure { error: "too dark".to_owned(), is_passing: false });
    conn.batch_execute(&format!("DELETE FROM regions WHERE image_id = {0}; DELETE FROM image_results WHERE image_id = {0}", images[6]))
        .unwrap();
    record(conn, &[seen(&older(), images[6], failed)]).unwrap();
    let decide = "UPDATE regions SET decision = $3 WHERE network_id = $1 AND image_id = $2 AND label = 'dog'";
    for (image, decision) in [(images[0], "confirmed"), (images[1], "rejected")] {
        let decided = sql_query(decide).bind::<BigInt, _>(old.0).bind::<BigInt, _>(image.0).bind::<Text, _>(decision).execute(conn);
        assert_eq!(decided, Ok(1));
    }
    conn.batch_execute(&format!(
        "INSERT INTO regions (image_id, picture_key, label, left_px, top_px, right_px, bottom_px, frame_width_px, frame_height_px, origin) \
         VALUES ({}, '', 'mine', 0, 0, 4, 4, 10, 10, 'person')",
        images[2]
    ))
    .unwrap();
    assert_eq!(held(conn), [(detector().to_string(), 6, 12, 0), (older().to_string(), 7, 10, 2)]);

    // Half of it, and then the rest.
    assert_eq!(delete_results(conn, old, 3).unwrap(), 3);
    assert_eq!(count_lacking(conn, old).unwrap(), 3, "what is removed lacks again");
    assert_eq!(held(conn)[1], (older().to_string(), 4, 6, 2));
    assert!(!delete_network(conn, old).unwrap(), "something is held of it");
    assert_eq!(delete_all(conn, old, 3), [3, 1]);
    assert_eq!(held(conn), [(detector().to_string(), 6, 12, 0), (older().to_string(), 0, 0, 2)]);
    assert_eq!(line(conn, &format!("SELECT done_count || ' ' || failed_count FROM networks WHERE id = {old}")), "0 0");
    let left = "SELECT string_agg(label || ' ' || coalesce(decision, origin), ', ' ORDER BY decision) FROM regions WHERE network_id IS DISTINCT FROM";
    assert_eq!(line(conn, &format!("{left} {new}")), "dog confirmed, dog rejected, mine person");
    assert!(!delete_network(conn, old).unwrap(), "people decided on what it found");

    // Asked again it says the rest, and not once more what was decided on.
    record(conn, &[seen(&older(), images[0], regions(&["dog", "cat"]))]).unwrap();
    assert_eq!(held(conn)[1], (older().to_string(), 1, 1, 2));

    // One with no word of anybody's goes whole; an answer that is still on its way is dropped.
    assert_eq!(delete_all(conn, new, 100), [6]);
    assert!(delete_network(conn, new).unwrap());
    assert_eq!(networks::find(conn, detector().kind, &detector().network).unwrap(), None);
    let late = record(conn, &[seen(&detector(), images[3], regions(&["dog"]))]).unwrap();
    assert_eq!((late.answered, late.dropped), (0, 1));
    assert_eq!(line(conn, "SELECT count(*) FROM regions"), "4");
}

#[test]
fn vectors_and_their_index_go_with_the_results() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let other: Lane = "embed/clip-vit-b-32@ffffff".parse().unwrap();
    let images = pictured(conn, root, 5);
    for lane in [&embedder(), &other] {
        register(conn, lane);
        let vector = |image: &ImageId| seen(lane, *image, Ok(Answer::Embedding { vector: vec![0.6, 0.8] }));
        assert_eq!(record(conn, &images.iter().map(vector).collect::<Vec<_>>()).unwrap().answered, 5);
    }
    let network = networks::find(conn, embedder().kind, &embedder().network).unwrap().unwrap().id;
    build_index(conn, network, 64).unwrap();
    // Left by whoever was interrupted: a vector without the result that it is of.
    conn.batch_execute(&format!("DELETE FROM image_results WHERE network_id = {network} AND image_id = {}", images[0])).unwrap();

    drop_index(conn, network).unwrap();
    assert_eq!(delete_all(conn, network, 2), [2, 2, 1]);
    assert!(delete_network(conn, network).unwrap());
    assert_eq!(held(conn), [(other.to_string(), 5, 0, 0)]);
    assert_eq!(line(conn, "SELECT count(*) FROM embeddings"), "5");
    assert_eq!(line(conn, &format!("SELECT to_regclass('embeddings_network_{network}') IS NULL")), "true");
}

#[test]
fn nothing_is_held_where_no_library_was_made() {
    let database = TestDatabase::empty();
    assert_eq!(list_held_results(&mut PgConnection::establish(database.url()).unwrap()).unwrap(), []);
}
