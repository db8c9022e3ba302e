//! Edits: what is shown, remembered, undone and waiting, for one image and for thousands.

use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use hm::{
    db::{
        edits::{
            Batch, Keep, OutboxCount, PendingField, Selection, Turn, Undone, apply_edits, count_outbox, follow_scan, list_history,
            list_outbox, list_write_backs, record_conflict, record_failed, record_written, resolve_conflict, retry_failed, turn_batch,
        },
        gallery::list_cards,
        grouping::{merge_images, split_image},
        image::{ImageRow, find_image},
        timeline::timeline,
    },
    models::{
        BatchId, Direction, FileRole, Filter, FolderId, ImageId, VaultId,
        edit::{Change, Field, Value, WriteState},
    },
};
use serde_json::{Value as Json, json};

use crate::support::{
    TestDatabase,
    library::{file_id, folder, image, vault},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let lines: Vec<Line> = sql_query(sql).load(conn).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

fn run(conn: &mut PgConnection, sql: &str) {
    sql_query(sql).execute(conn).unwrap();
}

fn library(database: &TestDatabase) -> (PgConnection, FolderId) {
    let mut conn = database.connection();
    let root = vault(&mut conn, "photos", "/nowhere".as_ref());
    (conn, root)
}

fn set(field: Field, json: Json) -> Change {
    Change::Set(Value::from_json(field, &json).unwrap())
}

fn value(field: Field, json: Json) -> Value {
    Value::from_json(field, &json).unwrap()
}

fn edit(conn: &mut PgConnection, image: ImageId, changes: &[Change]) -> Batch {
    apply_edits(conn, "zoe", &Selection::Images(vec![image]), changes).unwrap().unwrap()
}

fn shown(conn: &mut PgConnection, image: ImageId) -> ImageRow {
    find_image(conn, image).unwrap().image
}

/// `field value base state outside` of every row of the outbox.
fn outbox(conn: &mut PgConnection) -> Vec<String> {
    lines(
        conn,
        "SELECT concat_ws(' ', image_id, field, value, coalesce(base::text, '?'), state, outside) AS line FROM image_edits ORDER BY image_id, field",
    )
}

fn every_field() -> Vec<Change> {
    vec![
        set(Field::Rating, json!(5)),
        set(Field::Pick, json!("picked")),
        set(Field::ColorLabel, json!("green")),
        set(Field::Title, json!("Lighthouse")),
        set(Field::Description, json!("in the fog")),
        set(Field::Keywords, json!(["sea", "building|tower"])),
        set(Field::Gps, json!({"latitude_deg": 43.18, "longitude_deg": -89.28})),
        set(Field::CapturedAt, json!("2018-01-02T03:04:05+02:00")),
        set(Field::Place, json!({"city": "Roscoff", "country": "France", "country_code": "FR"})),
    ]
}

fn found_by(conn: &mut PgConnection, text: &str) -> usize {
    let filter = Filter { query: text.parse().unwrap(), ..Filter::default() };
    list_cards(conn, &filter, None, Direction::Older, 100).unwrap().len()
}

#[test]
fn an_edit_is_shown_found_remembered_and_waiting_at_once() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let id = image("IMG_1").file("IMG_1.CR2", "cr2", "ORIGINAL").insert(conn, root);
    let before = shown(conn, id);
    let batch = edit(conn, id, &every_field());
    assert_eq!((batch.changed, batch.unchanged, batch.missing, batch.id.is_some()), (1, 0, 0, true));
    let row = shown(conn, id);
    assert_eq!((row.rating, row.pick.as_str(), row.color_label.as_str()), (Some(5), "picked", "green"));
    assert_eq!((row.title.as_deref(), row.description.as_deref()), (Some("Lighthouse"), Some("in the fog")));
    assert_eq!(
        (row.keywords.join(","), row.hierarchical_keywords.join(",")),
        ("building,sea,tower".to_owned(), "building|tower".to_owned())
    );
    assert_eq!((row.latitude_deg, row.longitude_deg), (Some(43.18), Some(-89.28)));
    assert_eq!(
        (row.captured_at.to_string().as_str(), row.captured_offset_minutes, row.captured_at_source.as_str()),
        ("2018-01-02 03:04:05", Some(120), "person")
    );
    assert_eq!((row.city.as_deref(), row.state.as_deref(), row.country_code.as_deref()), (Some("Roscoff"), None, Some("FR")));
    for word in ["lighthouse", "fog", "tower", "roscoff", "img_1", "cr2"] {
        assert_eq!(found_by(conn, word), 1, "{word}");
    }
    assert_eq!(timeline(conn, &Filter::default()).unwrap()[0].day.to_string(), "2018-01-02");
    assert_eq!(list_history(conn, id, None, 100).unwrap().len(), 9);
    assert_eq!(count_outbox(conn).unwrap(), OutboxCount { pending: 9, failed: 0, conflict: 0 });

    // Saying it again says nothing new.
    let again = edit(conn, id, &every_field());
    assert_eq!(again, Batch { id: None, changed: 0, unchanged: 1, missing: 0 });
    assert_eq!(list_history(conn, id, None, 100).unwrap().len(), 9);

    // Taken back before it was written, nothing is left to be done.
    let undone = turn_batch(conn, "max", batch.id.unwrap(), Turn::Back).unwrap();
    assert_eq!(undone, Undone { changed: 1, skipped: 0 });
    assert_eq!(shown(conn, id), before);
    assert!(outbox(conn).is_empty());
    assert_eq!((found_by(conn, "lighthouse"), found_by(conn, "img_1")), (0, 1));
    let history = list_history(conn, id, None, 100).unwrap();
    assert!(history.len() == 9 && history.iter().all(|entry| entry.author == "zoe" && entry.undone.as_ref().unwrap().1 == "max"));

    assert_eq!(turn_batch(conn, "max", batch.id.unwrap(), Turn::Again).unwrap(), Undone { changed: 1, skipped: 0 });
    assert_eq!(shown(conn, id), row);
    assert_eq!(count_outbox(conn).unwrap().pending, 9);
    assert!(turn_batch(conn, "max", BatchId(999_999), Turn::Back).is_err());
}

#[test]
fn an_action_that_makes_no_sense_for_one_image_changes_none() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let early = image("A").at("1800-02-01 00:00:00").insert(conn, root);
    let late = image("B").insert(conn, root);
    let shift = Change::ShiftTime(chrono::TimeDelta::days(-60));
    let error =
        apply_edits(conn, "zoe", &Selection::Images(vec![late, early]), &[set(Field::Rating, json!(3)), shift]).unwrap().unwrap_err();
    assert_eq!(error.field, Field::CapturedAt);
    assert_eq!(shown(conn, late).rating, None);
    assert!(outbox(conn).is_empty());
    let nobody = apply_edits(conn, "zoe", &Selection::Images(vec![ImageId(999)]), &[set(Field::Rating, json!(3))]).unwrap().unwrap();
    assert_eq!(nobody, Batch { missing: 1, ..Batch::default() });
}

#[test]
fn many_images_change_at_once_and_back() {
    let database = TestDatabase::new();
    let (mut conn, _root) = library(&database);
    let conn = &mut conn;
    run(
        conn,
        "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, rating, keywords, file_count, total_size_bytes, \
         suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule) \
         SELECT d.vault_id, d.id, 'N_' || n, timestamp '2019-01-01' + n * interval '1 minute', 'EXIF:DateTimeOriginal', \
         (n % 6)::smallint, CASE WHEN n % 2 = 0 THEN '{old}'::text[] ELSE '{}' END, 0, 0, '{}', n % 2 = 0, true, false, false, 'stem' \
         FROM folders d, generate_series(0, 11999) n",
    );
    let content = "SELECT md5(string_agg(concat_ws('|', id, rating, keywords, captured_at, captured_at_source), ',' ORDER BY id)) AS line FROM images";
    let before = lines(conn, content);
    let counters = "SELECT concat_ws('|', rating, has_raw, image_count) AS line FROM facet_counts WHERE image_count > 0 ORDER BY 1";
    let counted = lines(conn, counters);
    let raws = Filter::from_pairs([("type", "raw")]).unwrap();
    let keywords = |list: &[&str]| hm::models::edit::Keywords::new(list.iter().copied(), [""; 0]);
    let changes = [
        set(Field::Rating, json!(4)),
        Change::AddKeywords(keywords(&["trip|lake"])),
        Change::RemoveKeywords(keywords(&["old"])),
        Change::ShiftTime(chrono::TimeDelta::hours(1)),
    ];
    let batch = apply_edits(conn, "zoe", &Selection::Filter(raws), &changes).unwrap().unwrap();
    assert_eq!((batch.changed, batch.unchanged), (6000, 0));
    assert_eq!(
        lines(conn, "SELECT DISTINCT concat_ws(' ', rating, keywords, hierarchical_keywords) AS line FROM images WHERE has_raw"),
        ["4 {lake,trip} {trip|lake}"]
    );
    assert_eq!(found_by(conn, "lake"), 100, "as many as a page holds");
    assert_eq!(
        lines(conn, "SELECT image_count::text AS line FROM facet_counts WHERE rating = 4 AND has_raw AND image_count > 0"),
        ["6000"]
    );
    assert_eq!(lines(conn, "SELECT count(*)::text AS line FROM edits"), [(6000 * 3 - 2000).to_string()]);
    // One image was rated since: that stays, its keywords are still taken back.
    let one = ImageId(lines(conn, "SELECT min(id)::text AS line FROM images WHERE has_raw")[0].parse().unwrap());
    edit(conn, one, &[set(Field::Rating, json!(1)), Change::AddKeywords(keywords(&["mine"]))]);
    let undone = turn_batch(conn, "zoe", batch.id.unwrap(), Turn::Back).unwrap();
    assert_eq!(undone, Undone { changed: 6000, skipped: 1 });
    let row = shown(conn, one);
    assert_eq!(
        (row.rating, row.keywords.join(","), row.captured_at_source.as_str()),
        (Some(1), "mine,old".to_owned(), "EXIF:DateTimeOriginal")
    );
    edit(conn, one, &[set(Field::Rating, json!(0)), set(Field::Keywords, json!(["old"]))]);
    assert_eq!(lines(conn, content), before);
    assert_eq!(lines(conn, counters), counted);
    assert!(outbox(conn).is_empty());
}

#[test]
fn a_scan_compares_with_what_people_say() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let id = image("IMG_1").insert(conn, root);
    run(conn, "UPDATE images SET rating = 3");
    edit(conn, id, &[set(Field::Rating, json!(5)), set(Field::Title, json!("Ours"))]);
    // As a scan does: it writes what the files say, and then asks what that means.
    let scanned = |conn: &mut PgConnection, columns: &str| {
        run(conn, &format!("UPDATE images SET {columns}"));
        follow_scan(conn, &[id], &[]).unwrap();
        let row = shown(conn, id);
        (row.rating, row.title)
    };
    let ours = (Some(5), Some("Ours".to_owned()));
    assert_eq!(scanned(conn, "rating = 3, title = NULL"), ours, "nothing new: unwritten edits are shown");
    assert_eq!(outbox(conn), [format!("{id} rating 5 3 pending"), format!("{id} title \"Ours\" null pending")]);
    assert_eq!(found_by(conn, "ours"), 1);
    assert_eq!(scanned(conn, "rating = 1, title = 'Ours'"), ours);
    assert_eq!(outbox(conn), [format!("{id} rating 5 3 conflict 1"), format!("{id} title \"Ours\" \"Ours\" written")]);
    assert_eq!(
        scanned(conn, "rating = 3, title = 'Theirs', search_words = array_to_tsvector('{theirs}')"),
        (Some(5), Some("Theirs".to_owned())),
        "what was written gives way"
    );
    assert_eq!(outbox(conn), [format!("{id} rating 5 3 pending"), format!("{id} title \"Theirs\" \"Theirs\" written")]);
    assert_eq!((found_by(conn, "ours"), found_by(conn, "theirs")), (0, 1));
    let newest = list_history(conn, id, None, 1).unwrap().remove(0);
    assert_eq!(
        (newest.author.as_str(), newest.before, newest.after),
        ("outside", value(Field::Title, json!("Ours")), value(Field::Title, json!("Theirs")))
    );
    assert_eq!(turn_batch(conn, "zoe", newest.batch, Turn::Back).unwrap(), Undone { changed: 1, skipped: 0 });
    assert_eq!(outbox(conn)[1], format!("{id} title \"Ours\" \"Theirs\" pending"));
}

#[test]
fn a_conflict_is_ended_by_choosing_a_side() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let id = image("IMG_1").insert(conn, root);
    let conflict = |conn: &mut PgConnection| {
        run(conn, "DELETE FROM image_edits");
        run(conn, "UPDATE images SET rating = 3");
        edit(conn, id, &[set(Field::Rating, json!(5))]);
        run(conn, "UPDATE images SET rating = 1");
        follow_scan(conn, &[id], &[]).unwrap();
        assert_eq!(count_outbox(conn).unwrap(), OutboxCount { pending: 0, failed: 0, conflict: 1 });
    };
    conflict(conn);
    let entry = list_outbox(conn, Some(WriteState::Conflict), None, 10).unwrap().remove(0);
    assert_eq!((entry.standing.value, entry.standing.outside), (value(Field::Rating, json!(5)), Some(value(Field::Rating, json!(1)))));
    let batch = resolve_conflict(conn, "zoe", id, Field::Rating, Keep::Ours).unwrap().unwrap();
    assert_eq!((outbox(conn), shown(conn, id).rating), (vec![format!("{id} rating 5 1 pending")], Some(5)));
    assert!(resolve_conflict(conn, "zoe", id, Field::Rating, Keep::Ours).is_err(), "it is over");
    let newest = list_history(conn, id, None, 1).unwrap().remove(0);
    let sides = (value(Field::Rating, json!(1)), value(Field::Rating, json!(5)));
    assert_eq!((newest.batch, (newest.before, newest.after)), (batch, sides), "what the vault said is not forgotten");
    turn_batch(conn, "zoe", batch, Turn::Back).unwrap();
    assert_eq!((outbox(conn), shown(conn, id).rating), (Vec::<String>::new(), Some(1)));
    conflict(conn);
    let batch = resolve_conflict(conn, "zoe", id, Field::Rating, Keep::Theirs).unwrap().unwrap();
    assert_eq!((outbox(conn), shown(conn, id).rating), (vec![format!("{id} rating 1 1 written")], Some(1)));
    turn_batch(conn, "zoe", batch, Turn::Back).unwrap();
    assert_eq!((outbox(conn), shown(conn, id).rating), (vec![format!("{id} rating 5 1 pending")], Some(5)));
    assert!(resolve_conflict(conn, "zoe", ImageId(999), Field::Rating, Keep::Ours).is_err());
}

fn vault_id(conn: &mut PgConnection) -> VaultId {
    VaultId(lines(conn, "SELECT id::text AS line FROM vaults")[0].parse().unwrap())
}

#[test]
fn the_writer_is_told_what_to_write_and_tells_what_came_of_it() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let vault = vault_id(conn);
    let first = image("A").file("A.xmp", "xmp", "SIDECAR").file("A.CR2", "cr2", "ORIGINAL").insert(conn, root);
    let second = image("B").file("B.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    for id in [first, second] {
        edit(conn, id, &[set(Field::Rating, json!(5)), set(Field::Title, json!(null)), set(Field::Pick, json!("picked"))]);
    }
    assert!(list_write_backs(conn, &[], None, 10).unwrap().is_empty());
    let due = list_write_backs(conn, &[vault], None, 1).unwrap();
    assert_eq!((due.len(), due[0].image, due[0].base_name.as_str()), (1, first, "A"));
    let files: Vec<_> = due[0].files.iter().map(|file| (file.path.to_string(), file.role)).collect();
    assert_eq!(files, [("A.CR2".to_owned(), FileRole::Original), ("A.xmp".to_owned(), FileRole::Sidecar)]);
    let pick = PendingField { value: value(Field::Pick, json!("picked")), base: Some(value(Field::Pick, json!("none"))), attempts: 0 };
    let rating = PendingField { value: value(Field::Rating, json!(5)), base: Some(value(Field::Rating, json!(null))), attempts: 0 };
    assert_eq!(due[0].fields, [pick.clone(), rating.clone()]);
    assert_eq!(list_write_backs(conn, &[vault], Some(first), 10).unwrap()[0].image, second);

    // A value that changed while the old one was written still waits, compared with what was written.
    edit(conn, first, &[set(Field::Rating, json!(2))]);
    for _ in 0..2 {
        record_written(conn, first, &[value(Field::Rating, json!(5)), value(Field::Pick, json!("picked"))], Some(&[7; 16])).unwrap();
        assert_eq!(outbox(conn)[..2], [format!("{first} pick \"picked\" \"picked\" written"), format!("{first} rating 2 5 pending")]);
    }
    for _ in 0..2 {
        record_failed(
            conn,
            second,
            &[rating.clone(), PendingField { value: value(Field::Pick, json!("none")), ..pick.clone() }],
            "read-only file system",
        )
        .unwrap();
        let failed = list_outbox(conn, Some(WriteState::Failed), None, 10).unwrap();
        assert_eq!(failed.len(), 1, "a value that is another by now has not failed");
        assert_eq!((failed[0].attempts, failed[0].reason.as_deref()), (1, Some("read-only file system")));
    }
    let due = list_write_backs(conn, &[vault], Some(first), 10).unwrap();
    assert_eq!(due[0].fields, std::slice::from_ref(&pick), "what failed is left alone for a while");
    run(conn, "UPDATE image_edits SET updated_at = now() - interval '61 seconds' WHERE state = 'failed'");
    assert_eq!(list_write_backs(conn, &[vault], Some(first), 10).unwrap()[0].fields[1].attempts, 1);
    assert_eq!(retry_failed(conn, Some(&[first])).unwrap(), 0);
    assert_eq!(retry_failed(conn, None).unwrap(), 1);
    for _ in 0..2 {
        record_conflict(conn, second, &rating.value, &value(Field::Rating, json!(null))).unwrap();
        assert_eq!(outbox(conn)[3], format!("{second} rating 5 null conflict null"));
    }
    record_written(conn, second, std::slice::from_ref(&rating.value), None).unwrap();
    assert_eq!(count_outbox(conn).unwrap().conflict, 1, "a conflict is not written over");

    run(conn, "UPDATE images SET is_missing = true WHERE base_name = 'B'");
    assert!(list_write_backs(conn, &[vault], Some(first), 10).unwrap().is_empty());
    run(conn, "UPDATE vaults SET offline_since = now()");
    assert!(list_write_backs(conn, &[vault], None, 10).unwrap().is_empty());
}

#[test]
fn a_scan_knows_our_own_hand() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let id = image("IMG_1").file("IMG_1.JPG", "jpeg", "ORIGINAL").file("IMG_1.JPG.xmp", "xmp", "SIDECAR").insert(conn, root);
    run(conn, "UPDATE images SET title = 'In the JPEG'");
    edit(conn, id, &[set(Field::Title, json!(null))]);
    let print: [u8; 16] = std::array::from_fn(|index| index as u8);
    record_written(conn, id, &[value(Field::Title, json!(null))], Some(&print)).unwrap();
    // A sidecar cannot take away what the original says; that it still says so is no news.
    run(conn, "UPDATE files SET fingerprint = decode('000102030405060708090a0b0c0d0e0f', 'hex') WHERE name LIKE '%xmp'");
    for _ in 0..2 {
        run(conn, "UPDATE images SET title = 'In the JPEG'");
        follow_scan(conn, &[id], &[]).unwrap();
        assert_eq!((shown(conn, id).title, outbox(conn)), (None, vec![format!("{id} title null \"In the JPEG\" written")]));
    }
    run(conn, "UPDATE images SET title = 'New'");
    follow_scan(conn, &[id], &[]).unwrap();
    assert_eq!(shown(conn, id).title.as_deref(), Some("New"));
}

#[test]
fn a_sidecar_that_is_gone_is_to_be_written_again() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let id = image("IMG_1").file("IMG_1.JPG", "jpeg", "ORIGINAL").file("IMG_1.JPG.xmp", "xmp", "SIDECAR").insert(conn, root);
    edit(conn, id, &[set(Field::Rating, json!(5))]);
    record_written(conn, id, &[value(Field::Rating, json!(5))], None).unwrap();
    follow_scan(conn, &[id], &[]).unwrap();
    assert_eq!(outbox(conn), [format!("{id} rating 5 5 written")]);
    run(conn, "UPDATE files SET missing_since = now() WHERE format = 'xmp'");
    run(conn, "UPDATE images SET rating = NULL");
    follow_scan(conn, &[id], &[]).unwrap();
    assert_eq!((shown(conn, id).rating, outbox(conn)), (Some(5), vec![format!("{id} rating 5 null pending")]));
}

#[test]
fn images_that_become_one_keep_all_edits_and_the_later_value() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let older = image("A").at("2019-08-03 10:00:00").file("A.CR2", "cr2", "ORIGINAL").insert(conn, root);
    let newer = image("B").at("2019-08-03 10:00:01").file("B.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    edit(conn, newer, &[set(Field::Title, json!("early")), set(Field::Rating, json!(1)), set(Field::Keywords, json!(["b"]))]);
    edit(conn, older, &[set(Field::Title, json!("middle")), set(Field::Keywords, json!(["a"]))]);
    edit(conn, newer, &[set(Field::Pick, json!("picked"))]);
    assert_eq!(merge_images(conn, &[older, newer]).unwrap(), Ok(older));
    let row = shown(conn, older);
    assert_eq!(
        (row.title.as_deref(), row.rating, row.pick.as_str(), row.keywords.join(",")),
        (Some("middle"), Some(1), "picked", "a,b".to_owned())
    );
    assert_eq!(lines(conn, "SELECT DISTINCT image_id::text AS line FROM edits"), [older.to_string()]);
    assert_eq!(count_outbox(conn).unwrap().pending, 4);
    assert_eq!(found_by(conn, "middle"), 1);
    // What the vault says of them together is no conflict.
    run(conn, "UPDATE images SET title = 'vault', rating = 4");
    follow_scan(conn, &[older], &[]).unwrap();
    assert_eq!((shown(conn, older).title.as_deref(), count_outbox(conn).unwrap().conflict), (Some("middle"), 0));
}

#[test]
fn what_was_said_of_an_image_holds_for_what_is_split_from_it() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let old = image("A").file("A.CR2", "cr2", "ORIGINAL").file("A.JPG", "jpeg", "EXPORT").insert(conn, root);
    let batch = edit(conn, old, &[set(Field::Rating, json!(5)), set(Field::CapturedAt, json!("2001-01-01T00:00:00"))]);
    let jpeg = file_id(conn, "A.JPG");
    let new = split_image(conn, old, &[jpeg]).unwrap().unwrap();
    assert_eq!(outbox(conn)[1..], [format!("{old} rating 5 null pending"), format!("{new} rating 5 ? pending")]);
    run(conn, "UPDATE images SET rating = 2");
    follow_scan(conn, &[old, new], &[]).unwrap();
    assert_eq!((shown(conn, new).rating, list_history(conn, new, None, 9).unwrap().len()), (Some(5), 1));
    run(conn, &format!("DELETE FROM image_edits WHERE image_id = {old}"));
    assert_eq!(turn_batch(conn, "zoe", batch.id.unwrap(), Turn::Back).unwrap().skipped, 0);
    assert_eq!(shown(conn, new).rating, None);
}

/// What a scan does to images that files left.
fn settle(conn: &mut PgConnection, images: &[ImageId]) {
    hm::db::ingest::write_batch(conn, &hm::db::ingest::Batch { left: images.to_vec(), ..Default::default() }).unwrap();
}

#[test]
fn an_image_that_a_scan_empties_leaves_its_edits_to_the_heir_of_its_files() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let heir = image("A").file("A.CR2", "cr2", "ORIGINAL").insert(conn, root);
    let emptied = image("B").file("B.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    let keeps = image("C").file("C.JPG", "jpeg", "ORIGINAL").file("C.CR2", "cr2", "ORIGINAL").insert(conn, root);
    for id in [emptied, keeps] {
        edit(conn, id, &[set(Field::Rating, json!(5))]);
    }
    for name in ["B.JPG", "C.JPG"] {
        let file = file_id(conn, name);
        run(conn, &format!("UPDATE files SET image_id = {heir} WHERE id = {file}"));
    }
    follow_scan(conn, &[heir], &[(emptied, heir), (keeps, heir)]).unwrap();
    assert_eq!(outbox(conn), [format!("{heir} rating 5 null pending"), format!("{keeps} rating 5 null pending")]);
    assert_eq!(shown(conn, heir).rating, Some(5));
    settle(conn, &[emptied, keeps]);
    assert!(find_image(conn, emptied).is_err());
    assert!(!shown(conn, keeps).is_missing);
    // One that has nobody to leave them to stays.
    run(conn, &format!("UPDATE files SET image_id = NULL WHERE image_id = {keeps}"));
    settle(conn, &[keeps]);
    assert!(shown(conn, keeps).is_missing);
}

/// Who mends what failed has to know where to look.
#[test]
fn the_outbox_names_the_sidecar_or_the_photograph() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    let day = folder(conn, root, "03");
    let both = [("IMG_1.xmp", "xmp", "SIDECAR"), ("IMG_1.CR2.xmp", "xmp", "SIDECAR"), ("IMG_1.CR2", "cr2", "ORIGINAL")];
    let images = [
        both.into_iter().fold(image("IMG_1"), |image, (name, format, role)| image.file(name, format, role)).insert(conn, day),
        image("IMG_2").file("IMG_2.JPG", "jpeg", "EXPORT").file("IMG_2.CR2", "cr2", "ORIGINAL").insert(conn, day),
        image("IMG_3").file("IMG_3.JPG", "jpeg", "ORIGINAL").file("IMG_3.xmp", "xmp", "SIDECAR").insert(conn, root),
        image("IMG_4").insert(conn, root),
    ];
    let paths = |conn: &mut PgConnection| -> Vec<Option<String>> {
        list_outbox(conn, Some(WriteState::Failed), None, 100).unwrap().into_iter().map(|entry| entry.path).collect()
    };
    for id in images {
        edit(conn, id, &[set(Field::Rating, 3.into())]);
    }
    run(conn, "UPDATE image_edits SET state = 'failed', reason = 'the disk is full', attempts = 1");
    let expected = [Some("03/IMG_1.CR2.xmp"), Some("03/IMG_2.CR2"), Some("IMG_3.xmp"), None];
    assert_eq!(paths(conn), expected.map(|path| path.map(str::to_owned)));
    // A sidecar that is gone is made anew beside the photograph.
    run(conn, "UPDATE files SET missing_since = now() WHERE format = 'xmp'");
    assert_eq!(paths(conn)[2].as_deref(), Some("IMG_3.JPG"));
}

#[test]
fn pages_of_the_outbox_and_of_a_history_cover_all_once() {
    let database = TestDatabase::new();
    let (mut conn, root) = library(&database);
    let conn = &mut conn;
    for number in 0..7 {
        let id = image(&format!("N_{number}")).insert(conn, root);
        edit(conn, id, &[set(Field::Rating, json!(1)), set(Field::Title, json!("t"))]);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = list_outbox(conn, None, cursor, 3).unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(last.cursor().to_string().parse().unwrap());
        seen.extend(page.iter().map(|entry| entry.cursor().to_string()));
    }
    let mut all = seen.clone();
    all.sort_unstable();
    all.dedup();
    assert_eq!((seen.len(), all.len()), (14, 14));
    let id = image("H").insert(conn, root);
    for stars in [1, 2, 3, 4, 5] {
        edit(conn, id, &[set(Field::Rating, json!(stars))]);
    }
    let first = list_history(conn, id, None, 3).unwrap();
    let rest = list_history(conn, id, Some(first[2].id), 3).unwrap();
    let stars: Vec<Json> = first.iter().chain(&rest).map(|entry| entry.after.to_json()).collect();
    assert_eq!(stars, [json!(5), json!(4), json!(3), json!(2), json!(1)]);
}
