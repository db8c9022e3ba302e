//! Groups to review: copies of files by content, bursts by time, pages that hold each group once, and decisions that last.

use std::{collections::BTreeSet, time::Duration};

use diesel::{PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use hm::{
    db::{
        duplicates::{Asked, GroupsPage, MOST_SHOWN, Place, count_apart, forget_apart, list_apart, list_groups, list_members, set_apart},
        grouping::merge_images,
    },
    models::{FolderId, ImageId},
};

use crate::support::{
    TestDatabase,
    library::{folder, image, vault},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn names(conn: &mut PgConnection, page: &GroupsPage) -> Vec<String> {
    let mut group = |images: &[ImageId]| {
        let members = list_members(conn, images).unwrap();
        images.iter().map(|image| members[image].0.base_name.clone()).collect::<Vec<_>>().join(" ")
    };
    page.groups.iter().map(|found| group(&found.images)).collect()
}

fn found(conn: &mut PgConnection, asked: Asked) -> BTreeSet<String> {
    let page = list_groups(conn, asked, None, 1_000, PATIENCE).unwrap();
    assert_eq!(page.next, None);
    names(conn, &page).into_iter().collect()
}

/// All groups, page by page of so many, in their order.
fn paged(conn: &mut PgConnection, asked: Asked, limit: usize) -> Vec<String> {
    let (mut all, mut after): (Vec<String>, Option<Place>) = (Vec::new(), None);
    for _ in 0..100 {
        let page = list_groups(conn, asked, after.as_ref(), limit, PATIENCE).unwrap();
        all.extend(names(conn, &page));
        // As an address has it.
        after = page.next.map(|next| next.to_string().parse().unwrap());
        if after.is_none() {
            return all;
        }
    }
    panic!("the pages do not end: {all:?}");
}

/// An image with files of these contents; the second part of a name is its time of capture.
fn holding(conn: &mut PgConnection, folder: FolderId, name: &str, at: &str, contents: &[&str]) -> ImageId {
    let mut one = image(name).at(at);
    for content in contents {
        one = one.file(&format!("{name}_{content}.JPG"), "jpeg", "ORIGINAL");
    }
    let id = one.insert(conn, folder);
    for content in contents {
        sql_query("UPDATE files SET fingerprint = decode(md5($1), 'hex') WHERE name = $2")
            .bind::<Text, _>(*content)
            .bind::<Text, _>(format!("{name}_{content}.JPG"))
            .execute(conn)
            .unwrap();
    }
    id
}

#[test]
fn copies_are_found_by_content_each_group_once() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let other = folder(conn, root, "copies");
    let a = holding(conn, root, "A", "2019-01-01 10:00:00", &["one", "two"]);
    let b = holding(conn, other, "B", "2003-01-01 10:00:00", &["one", "two"]);
    // Shares one of them, and another one with a fourth.
    let c = holding(conn, other, "C", "2019-01-02 10:00:00", &["two", "three"]);
    let d = holding(conn, other, "D", "2019-01-03 10:00:00", &["three"]);
    holding(conn, root, "E", "2019-01-04 10:00:00", &["alone"]);
    holding(conn, root, "F", "2019-01-05 10:00:00", &["missing"]);
    holding(conn, other, "G", "2019-01-06 10:00:00", &["missing"]);
    let (h, i) = (holding(conn, root, "H", "2019-01-07 10:00:00", &["four"]), holding(conn, other, "I", "2019-01-07 10:00:00", &["four"]));
    conn.batch_execute("UPDATE files SET missing_since = now() WHERE name = 'G_missing.JPG'").unwrap();
    // Sidecars are often the same.
    conn.batch_execute(
        "INSERT INTO files (vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint)
         SELECT vault_id, folder_id, id, convert_to(base_name || '.xmp', 'UTF8'), base_name || '.xmp', 'xmp', 'SIDECAR', 1, 1, '\\x01'
         FROM images",
    )
    .unwrap();
    let all = || BTreeSet::from(["D C A B".to_owned(), "I H".to_owned()]);
    assert_eq!(found(conn, Asked::Copies), all());
    let by_one = paged(conn, Asked::Copies, 1);
    assert_eq!((by_one.len(), by_one.into_iter().collect::<BTreeSet<_>>()), (2, all()), "each once, whatever contents they share");

    // What is rejected is decided; so are two that are both picked.
    conn.batch_execute("UPDATE images SET rating = -1 WHERE base_name IN ('C', 'H')").unwrap();
    assert_eq!(found(conn, Asked::Copies), BTreeSet::from(["A B".to_owned()]));
    conn.batch_execute("UPDATE images SET pick = 'picked' WHERE base_name IN ('A', 'B')").unwrap();
    assert!(found(conn, Asked::Copies).is_empty());
    conn.batch_execute("UPDATE images SET pick = 'none', rating = NULL").unwrap();

    // “Not duplicates” is remembered for these images, and not for others that come.
    let decision = set_apart(conn, "anna", &[a, b, c, d, ImageId(999)]).unwrap().unwrap();
    assert_eq!(found(conn, Asked::Copies), BTreeSet::from(["I H".to_owned()]));
    holding(conn, root, "J", "2020-01-01 10:00:00", &["three"]);
    assert_eq!(found(conn, Asked::Copies), BTreeSet::from(["J D C".to_owned(), "I H".to_owned()]));
    let listed = list_apart(conn, None, 10).unwrap();
    assert_eq!((listed[0].author.as_str(), listed[0].images.as_slice()), ("anna", &[a, b, c, d][..]));
    assert_eq!(listed, std::slice::from_ref(&decision), "as it was told when it was made");
    assert!(list_apart(conn, Some(decision.id), 10).unwrap().is_empty());
    assert!(forget_apart(conn, decision.id).unwrap() && !forget_apart(conn, decision.id).unwrap());
    assert_eq!(found(conn, Asked::Copies), BTreeSet::from(["J D C A B".to_owned(), "I H".to_owned()]));

    // It goes with an image into the one that it becomes part of.
    let k = holding(conn, root, "K", "2000-01-01 10:00:00", &["four", "five"]);
    set_apart(conn, "anna", &[h, i]).unwrap().unwrap();
    assert_eq!(merge_images(conn, &[h, k]).unwrap(), Ok(k));
    assert_eq!(list_apart(conn, None, 1).unwrap()[0].images, [i, k]);
    assert!(!found(conn, Asked::Copies).iter().any(|group| group.contains('K')));
    assert_eq!((set_apart(conn, "anna", &[a, a, ImageId(999)]).unwrap(), count_apart(conn).unwrap()), (None, 1), "one is no group");
}

#[test]
fn a_content_that_is_everywhere_is_shown_a_part_at_a_time() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    for number in 0..40 {
        holding(conn, root, &format!("N{number}"), "2019-01-01 10:00:00", &["black"]);
    }
    let page = list_groups(conn, Asked::Copies, None, 10, PATIENCE).unwrap();
    assert_eq!((page.groups.len(), page.groups[0].images.len()), (1, MOST_SHOWN));
    conn.batch_execute("UPDATE images SET rating = -1 WHERE id <= 30").unwrap();
    assert_eq!(list_groups(conn, Asked::Copies, None, 10, PATIENCE).unwrap().groups[0].count, 10);
}

#[test]
fn bursts_are_what_one_camera_took_within_seconds() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let mut shot = |name: &str, at: &str, camera: &str, is_video: bool| {
        let mut one = image(name).at(&format!("2019-08-03 {at}"));
        (one.camera, one.is_video) = (Some(camera.to_owned()), is_video);
        one.insert(conn, root)
    };
    // Two cameras at once, a video, and a picture long after.
    let frames = [("A", "12:00:00"), ("B", "12:00:02"), ("C", "12:00:04.5"), ("D", "12:00:09"), ("E", "13:00:00"), ("F", "13:00:01")];
    let ids: Vec<ImageId> = frames.iter().map(|(name, at)| shot(name, at, "R5", false)).collect();
    shot("X", "12:00:01", "Pixel", false);
    shot("Y", "12:00:03", "Pixel", false);
    shot("V", "13:00:01", "R5", true);
    shot("S", "10:00:00", "Scanner", false);
    shot("T", "10:00:00", "Scanner", false);
    conn.batch_execute("UPDATE images SET captured_at_source = 'file-modified' WHERE base_name IN ('S', 'T')").unwrap();
    let all = ["F E", "C B A", "Y X"].map(str::to_owned);
    assert_eq!(paged(conn, Asked::Bursts, 10), all);
    assert_eq!(paged(conn, Asked::Bursts, 1), all, "page by page the same, each once");

    conn.batch_execute("UPDATE images SET rating = -1 WHERE base_name = 'B'").unwrap();
    assert_eq!(paged(conn, Asked::Bursts, 10), ["F E", "Y X"], "the others are too far from each other");
    conn.batch_execute("UPDATE images SET rating = NULL; UPDATE images SET pick = 'picked' WHERE base_name IN ('E', 'F', 'A')").unwrap();
    assert_eq!(paged(conn, Asked::Bursts, 10), ["C B A", "Y X"]);
    set_apart(conn, "anna", &ids[..2]).unwrap().unwrap();
    assert_eq!(paged(conn, Asked::Bursts, 10), ["C B", "Y X"]);
}

#[test]
fn many_groups_are_paged_and_each_stands_on_one_page() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    vault(conn, "photos", "/nowhere".as_ref());
    // 25,000 images: a burst of three every ten, and each hundredth there twice; more than a step of the timeline.
    conn.batch_execute(
        "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, file_count, total_size_bytes, suffixes, has_raw,
             has_jpeg, has_sidecar, is_video, grouping_rule)
         SELECT f.vault_id, f.id, 'N' || n, timestamp '2019-01-01' + n / 10 * interval '5 minutes'
                + CASE WHEN n % 10 < 3 THEN n % 10 * interval '1 second' ELSE n % 10 * interval '20 seconds' END,
             'EXIF:DateTimeOriginal', 1, 1, '{}', false, true, false, false, 'stem'
         FROM generate_series(0, 24999) AS n, folders AS f;
         INSERT INTO files (vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint)
         SELECT vault_id, folder_id, id, convert_to(base_name, 'UTF8'), base_name, 'jpeg', 'ORIGINAL', 1, 1,
             decode(md5((CASE WHEN id % 100 = 0 THEN id - 1 ELSE id END)::text), 'hex') FROM images;
         ANALYZE",
    )
    .unwrap();
    for (asked, count) in [(Asked::Bursts, 2_500), (Asked::Copies, 250)] {
        let all = paged(conn, asked, 100);
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (count, count), "{asked:?}");
    }
}
