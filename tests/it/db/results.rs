//! Which images a network has yet to see, and what becomes of its answers.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    db::{
        grouping::{merge_images, split_image},
        nearest::{count_embedded, embedding_of},
        networks::{self, NetworkCard},
        results::{
            Failures, LackingImage, Recorded, Retry, count_lacking, list_failure_groups, list_failures, list_lacking, list_lacking_among,
            list_lacking_since, now, record, retry,
        },
    },
    models::{
        Cursor, ImageId, NetworkId, PictureKey,
        task::{Answer, Failure, Found, Lane, Outcome, Priority, Task},
        vision::BoundingBox,
    },
};

use crate::support::{
    self, TestDatabase,
    library::{file_id, image, make_picture, picture_key, pictured, vault},
};

/// The lane of a detector, which every library has room for.
pub(super) fn detector() -> Lane {
    "detect/yolo11n@0a1b2c".parse().unwrap()
}

/// The lane of a network that makes vectors.
pub(super) fn embedder() -> Lane {
    "embed/clip-vit-b-32@0a1b2c".parse().unwrap()
}

pub(super) fn register(conn: &mut PgConnection, lane: &Lane) -> NetworkId {
    let card = NetworkCard { lane: lane.clone(), family: "family".to_owned(), title: "Title".to_owned(), dimensions: None };
    networks::register(conn, &card).unwrap()
}

pub(super) fn outcome(lane: &Lane, image: ImageId, picture: PictureKey, answer: Result<Answer, Failure>) -> Outcome {
    let task = Task { lane: lane.clone(), image, picture, priority: Priority::Backlog, attempt: 0 };
    Outcome { task, worker: "test".to_owned(), took_ms: 1.0, answer }
}

pub(super) fn found(label: &str, score: f32) -> Found {
    Found { label: label.to_owned(), score, bounds: BoundingBox { left_px: 1.0, top_px: 2.0, right_px: 9.0, bottom_px: 8.0 }, mask: None }
}

pub(super) fn regions(labels: &[&str]) -> Result<Answer, Failure> {
    let regions = labels.iter().map(|label| found(label, 0.5)).collect();
    Ok(Answer::Regions { width_px: 10, height_px: 10, regions })
}

fn failure(error: &str) -> Result<Answer, Failure> {
    Err(Failure { error: error.to_owned(), is_passing: false })
}

/// A finding of the picture that the image has.
fn seen(lane: &Lane, image: ImageId, answer: Result<Answer, Failure>) -> Outcome {
    outcome(lane, image, picture_key(image.0), answer)
}

fn answered(recorded: Recorded) -> (usize, usize, usize) {
    (recorded.answered, recorded.failed, recorded.dropped)
}

/// All that lack an answer, by walking along the timeline.
fn walk(conn: &mut PgConnection, network: NetworkId, limit: i64) -> Vec<ImageId> {
    let (mut all, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let stretch = list_lacking(conn, network, after, limit).unwrap();
        assert!(stretch.images.len() as i64 <= limit);
        all.extend(stretch.images.iter().map(LackingImage::image));
        match stretch.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
    panic!("the walk does not end");
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    sql_query(sql).load::<Line>(conn).unwrap().into_iter().map(|row| row.line).collect()
}

/// The counts that triggers keep are those of the rows.
fn assert_counted(conn: &mut PgConnection) {
    let wrong = lines(
        conn,
        "SELECT n.name || ': ' || n.done_count || ' ' || n.failed_count AS line FROM networks AS n WHERE (n.done_count, n.failed_count) <> \
         (SELECT count(*) FILTER (WHERE r.done_at IS NOT NULL AND r.error IS NULL), count(r.error) FROM image_results AS r \
          WHERE r.network_id = n.id)",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn networks_have_a_row_each_and_keep_it() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let (one, other) = (register(conn, &detector()), register(conn, &embedder()));
    assert_ne!(one, other);
    assert_eq!(register(conn, &detector()), one);
    let better = NetworkCard { lane: detector(), family: "yolo11".to_owned(), title: "YOLO11n".to_owned(), dimensions: None };
    assert_eq!(networks::register(conn, &better).unwrap(), one);
    let known = networks::find(conn, detector().kind, &detector().network).unwrap().unwrap();
    assert_eq!((known.id, known.card), (one, better));
    let newer: Lane = "detect/yolo11n@ffffff".parse().unwrap();
    assert_eq!(networks::find(conn, newer.kind, &newer.network).unwrap(), None);
    register(conn, &newer);
    let all: Vec<String> = networks::list(conn).unwrap().iter().map(|network| network.card.lane.to_string()).collect();
    assert_eq!(all, [newer.to_string(), embedder().to_string(), detector().to_string()], "the newest first");
}

#[test]
fn an_image_lacks_an_answer_once_it_has_its_picture() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    let images = pictured(conn, root, 7);
    let unmade = image("NEW").at("2020-01-01 10:00:00").insert(conn, root);
    let broken = image("BROKEN").at("2020-01-01 11:00:00").picture(picture_key(77).as_str()).insert(conn, root);
    sql_query("INSERT INTO pictures (image_id, key, error) VALUES ($1, $2, 'no picture')")
        .bind::<BigInt, _>(broken.0)
        .bind::<Text, _>(picture_key(77).as_str())
        .execute(conn)
        .unwrap();
    for limit in [1, 2, 3, 100] {
        assert_eq!(walk(conn, network, limit), images, "newest first, {limit} at a time");
    }
    assert_eq!(count_lacking(conn, network).unwrap(), 7);
    let first = list_lacking(conn, network, None, 1).unwrap();
    assert_eq!(first.images[0].key, picture_key(images[0].0));
    let after: Cursor = first.images[0].cursor;
    assert_eq!(list_lacking(conn, network, Some(after), 100).unwrap().images[0].image(), images[1]);
    let among = list_lacking_among(conn, network, &[images[4], unmade, images[1], ImageId(9_999), broken]).unwrap();
    assert_eq!(among.iter().map(LackingImage::image).collect::<Vec<_>>(), [images[4], images[1]]);

    record(conn, &[seen(&detector(), images[0], regions(&["dog"])), seen(&detector(), images[3], failure("too dark"))]).unwrap();
    let left = [images[1], images[2], images[4], images[5], images[6]];
    assert_eq!(walk(conn, network, 2), left);
    assert_eq!(count_lacking(conn, network).unwrap(), 5);
    let other = register(conn, &embedder());
    assert_eq!(walk(conn, other, 100), images, "networks answer each for itself");
    let counted = count_embedded(conn, network).unwrap();
    assert_eq!((counted.embedded, counted.failed, counted.all, counted.to_come()), (1, 1, 7, 5));

    // Its files change: the picture is made again, and the network has to see it.
    make_picture(conn, images[0], &picture_key(1_000));
    assert_eq!(walk(conn, network, 2)[0], images[0]);
    make_picture(conn, images[0], &picture_key(images[0].0));
    assert_eq!(walk(conn, network, 2), left, "and when they change back it has seen it");
}

#[test]
fn what_was_made_since_is_found_without_a_walk() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    let images = pictured(conn, root, 4);
    sql_query("UPDATE pictures SET made_at = now() - interval '1 day'").execute(conn).unwrap();
    let since = now(conn).unwrap();
    let fresh = |conn: &mut PgConnection| -> Vec<ImageId> {
        list_lacking_since(conn, network, since, 100).unwrap().iter().map(LackingImage::image).collect()
    };
    assert!(fresh(conn).is_empty());
    make_picture(conn, images[2], &picture_key(1_000));
    make_picture(conn, images[1], &picture_key(1_001));
    assert_eq!(fresh(conn), [images[1], images[2]]);
    record(conn, &[outcome(&detector(), images[1], picture_key(1_001), regions(&[])), seen(&detector(), images[3], failure("no"))])
        .unwrap();
    assert_eq!(fresh(conn), [images[2]]);
    assert_eq!(retry(conn, &Retry::One(network, images[3])).unwrap(), 1);
    assert_eq!(fresh(conn), [images[2], images[3]], "what is asked for again is as new");
    assert_counted(conn);
}

#[test]
fn an_answer_counts_once_and_for_the_picture_it_is_about() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    let images = pictured(conn, root, 3);
    let lane = detector();
    let batch = [
        seen(&lane, images[0], regions(&["dog", "cat"])),
        seen(&lane, images[0], regions(&["dog", "cat"])),
        outcome(&lane, images[1], picture_key(4_711), regions(&["another picture"])),
        seen(&lane, ImageId(9_999), regions(&["gone"])),
        seen(&"detect/unknown@1".parse().unwrap(), images[2], regions(&["of nobody"])),
    ];
    assert_eq!(answered(record(conn, &batch).unwrap()), (1, 0, 4));
    let all = "SELECT image_id || ' ' || label || ' ' || id AS line FROM regions ORDER BY id";
    let before = lines(conn, all);
    assert_eq!(before.len(), 2);
    assert_eq!(answered(record(conn, &batch).unwrap()), (0, 0, 5), "twice is as good as once");
    assert_eq!(lines(conn, all), before, "and the numbers of regions stay");
    // A failure that comes late takes nothing away; an answer takes the place of a failure.
    assert_eq!(answered(record(conn, &[seen(&lane, images[0], failure("late"))]).unwrap()), (0, 0, 1));
    assert_eq!(answered(record(conn, &[seen(&lane, images[2], failure("worker\0 ended"))]).unwrap()), (0, 1, 0));
    assert_eq!(lines(conn, "SELECT error AS line FROM image_results WHERE error IS NOT NULL"), ["worker ended"]);
    assert_counted(conn);
    assert_eq!(answered(record(conn, &[seen(&lane, images[2], regions(&["bird"]))]).unwrap()), (1, 0, 0));
    assert_counted(conn);
    // Of two answers in one batch the better one counts.
    let mixed = [seen(&lane, images[1], regions(&["owl"])), seen(&lane, images[1], failure("no"))];
    assert_eq!(answered(record(conn, &mixed).unwrap()), (1, 0, 1));
    assert_eq!(count_lacking(conn, network).unwrap(), 0);
    assert_counted(conn);
}

#[test]
fn an_answer_that_cannot_be_kept_is_a_failure() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    let images = pictured(conn, root, 2);
    let nowhere = Found { bounds: BoundingBox { left_px: f32::NAN, ..found("dog", 0.5).bounds }, ..found("dog", 0.5) };
    let bad = Ok(Answer::Regions { width_px: 10, height_px: 10, regions: vec![nowhere] });
    let good = Ok(Answer::Regions { width_px: 10, height_px: 10, regions: vec![found("d\0og", 2.0)] });
    let both = [seen(&detector(), images[0], bad), seen(&detector(), images[1], good)];
    assert_eq!(answered(record(conn, &both).unwrap()), (1, 1, 0));
    assert_eq!(lines(conn, "SELECT label || ' ' || score AS line FROM regions"), ["dog 1"]);
    let failed = list_failures(conn, &Failures { network: Some(network), error: None }, None, 10).unwrap();
    assert_eq!((failed.len(), failed[0].image, failed[0].attempts), (1, images[0], 1));
    assert!(failed[0].error.contains("without a score or a box"), "{failed:?}");
}

#[test]
fn failures_are_listed_by_error_and_asked_for_again() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let (one, other): (Lane, Lane) = (detector(), "detect/yolo11x@1".parse().unwrap());
    let (network, second) = (register(conn, &one), register(conn, &other));
    let images = pictured(conn, root, 5);
    let mut outcomes: Vec<Outcome> = images[..3].iter().map(|image| seen(&one, *image, failure("too dark"))).collect();
    outcomes.push(seen(&one, images[3], failure("too bright")));
    outcomes.push(seen(&other, images[0], failure("too dark")));
    outcomes[0].task.attempt = 4;
    record(conn, &outcomes).unwrap();
    let groups = list_failure_groups(conn, 10).unwrap();
    let seen_groups: Vec<_> = groups.iter().map(|group| (group.lane.clone(), group.error.as_str(), group.images)).collect();
    assert_eq!(seen_groups[0], (one.clone(), "too dark", 3));
    assert_eq!(groups.len(), 3);
    let dark = Failures { network: Some(network), error: Some("too dark".to_owned()) };
    let page = list_failures(conn, &dark, None, 2).unwrap();
    assert_eq!(page.iter().map(|failed| (failed.image, failed.attempts)).collect::<Vec<_>>(), [(images[0], 5), (images[1], 1)]);
    let last = &page[1];
    let rest = list_failures(conn, &dark, Some((last.image, last.network)), 2).unwrap();
    assert_eq!(rest.iter().map(|failed| failed.image).collect::<Vec<_>>(), [images[2]]);
    assert_eq!(list_failures(conn, &Failures::default(), None, 100).unwrap().len(), 5);

    assert_eq!(retry(conn, &Retry::One(network, images[1])).unwrap(), 1);
    assert_eq!(walk(conn, network, 100), [images[1], images[4]]);
    assert_eq!(retry(conn, &Retry::Failed(dark.clone())).unwrap(), 2);
    assert_eq!(walk(conn, network, 100), [images[0], images[1], images[2], images[4]]);
    assert_eq!(list_failure_groups(conn, 10).unwrap().len(), 2);
    assert_eq!(retry(conn, &Retry::Failed(Failures::default())).unwrap(), 2);
    assert_eq!(walk(conn, second, 100), images);
    assert_counted(conn);
    assert_eq!(answered(record(conn, &[seen(&one, images[0], regions(&[]))]).unwrap()), (1, 0, 0));
    assert_eq!(retry(conn, &Retry::One(network, images[0])).unwrap(), 1, "also what was answered, when a person asks");
    assert_eq!(answered(record(conn, &[seen(&one, images[0], regions(&["dog"]))]).unwrap()), (1, 0, 0));
    assert_counted(conn);
}

#[test]
fn results_go_with_their_image() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    let newer = image("B_1").at("2019-08-04 10:00:00").file("B_1.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    let older =
        image("A_1").at("2019-08-03 10:00:00").file("A_1.CR2", "cr2", "ORIGINAL").file("A_1.JPG", "jpeg", "EXPORT").insert(conn, root);
    for image in [newer, older] {
        make_picture(conn, image, &picture_key(image.0));
    }
    let both = [seen(&detector(), newer, regions(&["dog"])), seen(&detector(), older, regions(&["cat"]))];
    record(conn, &both).unwrap();
    merge_images(conn, &[newer, older]).unwrap().unwrap();
    assert_eq!(lines(conn, "SELECT label AS line FROM regions"), ["cat"]);
    assert_counted(conn);
    // Which picture the image has is decided anew by a merge; it lacks the answer once that is made.
    let key: PictureKey = lines(conn, "SELECT picture_key AS line FROM images")[0].parse().unwrap();
    make_picture(conn, older, &key);
    assert_eq!(walk(conn, network, 10), [older]);
    let apart = file_id(conn, "A_1.JPG");
    let new = split_image(conn, older, &[apart]).unwrap().unwrap();
    make_picture(conn, new, &picture_key(new.0));
    assert!(walk(conn, network, 10).contains(&new), "a split image has been seen by nobody");
}

#[test]
fn vectors_are_kept_and_replaced() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let (lane, network) = (embedder(), register(conn, &embedder()));
    let images = pictured(conn, root, 3);
    let vector = |vector: &[f32]| Ok(Answer::Embedding { vector: vector.to_vec() });
    let batch = [seen(&lane, images[0], vector(&[0.6, 0.8])), seen(&lane, images[1], vector(&[1.0, 0.0]))];
    assert_eq!(answered(record(conn, &batch).unwrap()), (2, 0, 0));
    assert_eq!(networks::find(conn, lane.kind, &lane.network).unwrap().unwrap().card.dimensions, Some(2), "as the first vector says");
    let kept = embedding_of(conn, network, images[0]).unwrap().unwrap();
    assert!((kept[0] - 0.6).abs() < 1e-3 && (kept[1] - 0.8).abs() < 1e-3, "{kept:?}");
    assert_eq!(embedding_of(conn, network, images[2]).unwrap(), None);
    assert_eq!(answered(record(conn, &[seen(&lane, images[2], vector(&[1.0, 0.0, 0.0]))]).unwrap()), (0, 1, 0));
    // A new picture: until it is seen the old vector stays, and when it cannot be seen it goes.
    make_picture(conn, images[0], &picture_key(1_000));
    assert!(embedding_of(conn, network, images[0]).unwrap().is_some());
    record(conn, &[outcome(&lane, images[0], picture_key(1_000), vector(&[0.0, -1.0]))]).unwrap();
    assert_eq!(embedding_of(conn, network, images[0]).unwrap(), Some(vec![0.0, -1.0]));
    make_picture(conn, images[0], &picture_key(1_001));
    record(conn, &[outcome(&lane, images[0], picture_key(1_001), failure("too dark"))]).unwrap();
    assert_eq!(embedding_of(conn, network, images[0]).unwrap(), None);
    assert_counted(conn);
}

#[test]
fn without_a_place_for_vectors_no_answer_is_taken_for_done() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &embedder());
    let images = pictured(conn, root, 1);
    conn.batch_execute("DROP TABLE IF EXISTS embeddings").unwrap();
    let answer = [seen(&embedder(), images[0], Ok(Answer::Embedding { vector: vec![1.0] }))];
    assert_eq!(answered(record(conn, &answer).unwrap()), (0, 0, 1));
    assert_eq!(walk(conn, network, 10), images);
}

/// A library in which next to nothing is lacking is asked for what is by indexes alone.
#[test]
fn what_is_lacking_is_found_without_reading_tables_whole() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    // Nine steps of them, in no order on disk: of three steps a planner may well read all.
    sql_query(
        "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, file_count, total_size_bytes, suffixes, has_raw, \
            has_jpeg, has_sidecar, is_video, grouping_rule, picture_key) \
         SELECT vault_id, id, n::text, timestamp '2005-01-01' + (n * 7919 % 90000) * interval '1 hour', 'x', 1, 1, '{}', false, true, false, \
            false, 'stem', md5(n::text) FROM folders, generate_series(1, 90000) AS n WHERE id = $1",
    )
    .bind::<BigInt, _>(root.0)
    .execute(conn)
    .unwrap();
    conn.batch_execute(
        "INSERT INTO pictures (image_id, key, made_at) SELECT id, picture_key, now() - interval '1 day' FROM images;
         INSERT INTO image_results (network_id, image_id, picture_key) SELECT n.id, i.id, i.picture_key FROM networks AS n, images AS i \
         WHERE i.id % 30000 <> 0; ANALYZE",
    )
    .unwrap();
    conn.begin_test_transaction().unwrap();
    let found = walk(conn, network, 100);
    assert_eq!(found.len(), 3, "{found:?}");
    let since = now(conn).unwrap();
    assert!(list_lacking_since(conn, network, since, 100).unwrap().is_empty());
    assert_eq!(list_lacking_among(conn, network, &found).unwrap().len(), 3);
    let read_whole = "SELECT relname || ' ' || seq_scan AS line FROM pg_stat_xact_user_tables \
        WHERE relname IN ('images', 'pictures', 'image_results') AND seq_scan > 0";
    assert_eq!(lines(conn, read_whole), [""; 0]);
}
