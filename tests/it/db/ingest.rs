//! Batches of a scan: a row is the same whichever way it comes in, and a batch is written whole or not at all.

use chrono::NaiveDate;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use hm::{
    db::ingest::{Batch, CameraWrite, FileWrite, FolderWrite, ImageWrite, Sequence, allocate_ids, ensure_names, write_batch},
    models::{Facts, FileId, FolderId, Gps, ImageId, RelPath, VaultId},
};

use crate::support::{TestDatabase, library};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    sql_query(sql).load::<Line>(conn).unwrap().into_iter().map(|row| row.line).collect()
}

/// Everything of images and files but their times of writing.
fn rows(conn: &mut PgConnection) -> Vec<String> {
    let mut rows = lines(conn, "SELECT (to_jsonb(i) - 'updated_at' - 'created_at')::text AS line FROM images AS i ORDER BY id");
    rows.extend(lines(conn, "SELECT (to_jsonb(f) - 'created_at')::text AS line FROM files AS f ORDER BY id"));
    rows
}

fn path(text: &[u8]) -> RelPath {
    RelPath::from_bytes(text).unwrap()
}

struct Place {
    vault: VaultId,
    root: FolderId,
}

fn place(conn: &mut PgConnection) -> Place {
    let root = library::vault(conn, "photos", "/nowhere".as_ref());
    let vault = lines(conn, "SELECT id::text AS line FROM vaults")[0].parse().unwrap();
    Place { vault: VaultId(vault), root }
}

/// An image with as much in it as can be, of a file that means harm.
fn full(place: &Place, id: i64) -> (ImageWrite, FileWrite) {
    let text = "NUL \0 quote \" ' back \\ \\u0000 braces {a,b} NULL Zoë 東京 \u{1F4F7}\t\n";
    let texts = || vec![text.into(), "".into(), "NULL".into(), "lake".into()];
    let image = ImageWrite {
        is_new: true,
        id: ImageId(id),
        vault_id: place.vault,
        folder_id: place.root,
        base_name: text.into(),
        captured_at: NaiveDate::from_ymd_opt(1897, 2, 28).unwrap().and_hms_micro_opt(23, 59, 59, 123_456).unwrap(),
        captured_at_source: text.into(),
        captured_offset_minutes: Some(-570),
        camera_id: None,
        lens_id: None,
        iso: Some(102_400),
        f_number: Some(1.4),
        exposure_s: Some(1.0 / 8000.0),
        focal_length_mm: Some(50.0),
        latitude_deg: Some(-33.856_8),
        longitude_deg: Some(151.215_3),
        altitude_m: Some(-1.5),
        width_px: Some(6000),
        height_px: Some(4000),
        orientation: Some(6),
        ratio_milli: 667,
        title: Some(text.into()),
        description: Some("\0".into()),
        rating: Some(-1),
        keywords: texts(),
        hierarchical_keywords: texts(),
        file_count: 1,
        total_size_bytes: 5_000_000_000,
        suffixes: texts(),
        has_raw: true,
        has_jpeg: false,
        has_sidecar: true,
        is_video: false,
        grouping_rule: "stem",
        picture_file_id: Some(FileId(id)),
        picture_key: Some("key".into()),
        search_words: ["zoë", "a", "東京", "ab", "0"].map(str::to_owned).into_iter().collect(),
        pick: "picked",
        color_label: "purple",
        city: Some(text.into()),
        state: None,
        country: Some("".into()),
        country_code: Some("FR".into()),
        gps_city: Some("Town".into()),
        gps_state: None,
        gps_country: Some("Country".into()),
        gps_country_code: Some("CC".into()),
        gps_edition: Some(1),
    };
    let facts = Facts {
        description: Some(text.to_owned()),
        keywords: vec![text.to_owned()],
        gps: Some(Gps { latitude_deg: 1.5, longitude_deg: -2.5, altitude_m: None }),
        ..Facts::default()
    };
    let file = FileWrite {
        is_new: true,
        id: FileId(id),
        vault_id: place.vault,
        folder_id: place.root,
        image_id: Some(ImageId(id)),
        name_bytes: b"na\xffme \\x00.cr2".to_vec(),
        name: text.into(),
        format: "cr2",
        role: "ORIGINAL",
        size_bytes: 5_000_000_000,
        modified_at_ns: -1,
        fingerprint: Some((0..16).collect()),
        facts: facts.into(),
        error: Some(text.into()),
    };
    (image, file)
}

/// The same with nothing that may be left out.
fn bare(place: &Place, id: i64) -> (ImageWrite, FileWrite) {
    let (image, file) = full(place, id);
    let image = ImageWrite {
        captured_offset_minutes: None,
        iso: None,
        f_number: None,
        exposure_s: None,
        focal_length_mm: None,
        latitude_deg: None,
        longitude_deg: None,
        altitude_m: None,
        width_px: None,
        height_px: None,
        orientation: None,
        title: None,
        description: None,
        rating: None,
        keywords: Vec::new(),
        hierarchical_keywords: Vec::new(),
        suffixes: Vec::new(),
        picture_file_id: None,
        picture_key: None,
        search_words: std::iter::empty().collect(),
        ..image
    };
    let name_bytes = format!("{id}").into_bytes();
    (image, FileWrite { name_bytes, fingerprint: None, facts: Facts::default().into(), error: None, ..file })
}

#[test]
fn a_row_is_the_same_copied_as_new_or_written_over() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let place = place(conn);
    let (images, files): (Vec<ImageWrite>, Vec<FileWrite>) = [full(&place, 1), bare(&place, 2)].into_iter().unzip();
    write_batch(conn, &Batch { images: images.clone(), files: files.clone(), ..Batch::default() }).unwrap();
    let copied = rows(conn);
    assert_eq!(
        lines(
            conn,
            "SELECT search_words::text || ' ' || array_length(keywords, 1) || ' ' || encode(name_bytes, 'hex') AS line FROM images JOIN files ON image_id = images.id WHERE images.id = 1"
        ),
        ["'0' 'a' 'ab' 'zoë' '東京' 4 6e61ff6d65205c7830302e637232"]
    );
    // Other values in between, so that every column has to be written again.
    sql_query(
        "UPDATE images SET base_name = '', captured_at = now(), captured_at_source = '', captured_offset_minutes = 1, iso = 1, f_number = 1, \
         exposure_s = 1, focal_length_mm = 1, latitude_deg = 1, longitude_deg = 1, altitude_m = 1, width_px = 1, height_px = 1, orientation = 1, \
         ratio_milli = 1, title = '', description = '', rating = 1, keywords = '{x}', hierarchical_keywords = '{x}', file_count = 9, \
         total_size_bytes = 9, suffixes = '{x}', has_raw = false, has_jpeg = true, has_sidecar = false, is_video = true, is_missing = true, \
         grouping_rule = '', picture_file_id = 2, picture_key = 'x', search_words = 'x'",
    )
    .execute(conn)
    .unwrap();
    sql_query(
        "UPDATE files SET image_id = NULL, name_bytes = convert_to('x' || id, 'UTF8'), name = '', format = 'jpeg', role = 'UNKNOWN', size_bytes = 1, \
         modified_at_ns = 1, fingerprint = 'x', facts = '{}', error = 'x', missing_since = now()",
    )
    .execute(conn)
    .unwrap();
    let images = images.into_iter().map(|image| ImageWrite { is_new: false, ..image }).collect();
    let files = files.into_iter().map(|file| FileWrite { is_new: false, ..file }).collect();
    write_batch(conn, &Batch { images, files, ..Batch::default() }).unwrap();
    assert_eq!(rows(conn), copied);
    assert_eq!(lines(conn, "SELECT day || ' ' || image_count AS line FROM timeline_days WHERE image_count <> 0"), ["1897-02-28 2"]);
}

#[test]
fn a_batch_that_fails_leaves_nothing() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let place = place(conn);
    let (image, file) = full(&place, 1);
    let folder = FolderWrite { id: FolderId(77), vault_id: place.vault, parent: Some(place.root), path: path(b"new"), digest: None };
    let nobody = FileWrite { image_id: Some(ImageId(404)), ..file.clone() };
    let batch = Batch { folders: vec![folder], images: vec![image], files: vec![nobody], ..Batch::default() };
    write_batch(conn, &batch).unwrap_err();
    assert_eq!(rows(conn), Vec::<String>::new());
    assert_eq!(lines(conn, "SELECT rel_path AS line FROM folders WHERE id = 77"), Vec::<String>::new());
    // The session goes on.
    write_batch(conn, &Batch { files: vec![file], ..batch }).unwrap();
    assert_eq!(lines(conn, "SELECT count(*)::text AS line FROM files"), ["1"]);
    assert_eq!(
        lines(conn, "SELECT current_setting('synchronous_commit') AS line"),
        lines(conn, "SELECT reset_val AS line FROM pg_settings WHERE name = 'synchronous_commit'")
    );
}

#[test]
fn folders_stand_below_one_another_at_once() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let place = place(conn);
    let ids = allocate_ids(conn, Sequence::Folders, 3).unwrap();
    let folder = |index: usize, parent: FolderId, path: RelPath| FolderWrite {
        id: FolderId(ids[index]),
        vault_id: place.vault,
        parent: Some(parent),
        path,
        digest: (index == 2).then_some([7; 16]),
    };
    let folders = vec![
        folder(0, place.root, path("Zoe\u{301}".as_bytes())),
        folder(1, FolderId(ids[0]), path("Zoe\u{301}/ab".as_bytes())),
        folder(2, FolderId(ids[1]), path(b"Zoe\xcc\x81/ab/\xff")),
    ];
    write_batch(conn, &Batch { folders, digests: vec![(place.root, Some([9; 16]))], ..Batch::default() }).unwrap();
    let sql = "SELECT concat_ws(' ', tree::text, name, encode(rel_path_bytes, 'hex'), encode(listing_digest, 'hex')) AS line FROM folders ORDER BY id";
    let (root, [one, two, three]) = (place.root.0, [ids[0], ids[1], ids[2]]);
    assert_eq!(
        lines(conn, sql),
        [
            format!("f{root}   {}", "09".repeat(16)),
            format!("f{root}.f{one} Zoé 5a6f65cc81"),
            format!("f{root}.f{one}.f{two} ab 5a6f65cc812f6162"),
            format!("f{root}.f{one}.f{two}.f{three} \u{fffd} 5a6f65cc812f61622fff {}", "07".repeat(16)),
        ]
    );
}

#[test]
fn names_have_one_id_in_whatever_order_they_come() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let camera = |name: &str| CameraWrite { name: name.to_owned(), make: "M\0aker".to_owned(), model: name.to_owned() };
    let (first, lenses) = ensure_names(conn, &[camera("b"), camera("a")], &["50 mm".to_owned()]).unwrap();
    let (second, none) = ensure_names(conn, &[camera("a"), camera("new"), camera("b"), camera("a\0")], &[]).unwrap();
    assert_eq!((second[0], second[2], second[3]), (first[1], first[0], first[1]));
    assert!(!first.contains(&second[1]) && none.is_empty() && lenses.len() == 1);
    assert_eq!(lines(conn, "SELECT DISTINCT make AS line FROM cameras"), ["Maker"]);
}
