//! One image, its neighbours, where its files lie, and the folders around it.

use diesel::{RunQueryDsl, sql_query};
use hm::{
    db::{
        folders::{breadcrumbs, list_folders},
        gallery::list_cards,
        image::{find_file_location, find_image, find_picture_state, neighbours},
    },
    models::{Direction, FileId, FileRole, Filter, FolderId, ImageId},
};

use crate::support::{
    TestDatabase,
    library::{HOST, file_id, folder, image, vault},
};

#[test]
fn an_image_tells_its_files_masters_first() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let summer = folder(conn, root, "summer");
    let id = image("IMG_1")
        .file("IMG_1.xmp", "xmp", "SIDECAR")
        .file("IMG_1.JPG", "jpeg", "EXPORT")
        .file("IMG_1.CR2", "cr2", "ORIGINAL")
        .insert(conn, summer);
    sql_query(r#"UPDATE files SET facts = '{"width_px": 60, "height_px": 40, "orientation": 6}' WHERE name LIKE '%JPG'"#)
        .execute(conn)
        .unwrap();
    let page = find_image(conn, id).unwrap();
    assert_eq!((page.image.vault_name.as_str(), page.image.folder_path.as_str()), ("photos", "summer"));
    let files: Vec<_> = page.files.iter().map(|file| (file.rel_path.as_str(), file.role, file.width_px)).collect();
    assert_eq!(
        files,
        [
            ("summer/IMG_1.CR2", FileRole::Original, None),
            ("summer/IMG_1.xmp", FileRole::Sidecar, None),
            ("summer/IMG_1.JPG", FileRole::Export, Some(60))
        ]
    );
    assert_eq!(page.files[0].modified_at.to_rfc3339(), "2019-08-03T12:33:00+00:00");
    assert_eq!(page.files[0].fingerprint.as_ref().unwrap().len(), 32);
    assert_eq!(find_image(conn, ImageId(999)).unwrap_err(), diesel::result::Error::NotFound);
}

#[test]
fn neighbours_walk_the_gallery_in_its_order() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    for number in 0..9 {
        let mut new = image(&format!("IMG_{number}")).at(&format!("2019-08-0{} 10:00:00", 1 + number / 3));
        new.has_raw = number % 2 == 0;
        new.insert(conn, root);
    }
    for filter in [Filter::default(), Filter::from_pairs([("type", "raw")]).unwrap(), Filter::from_pairs([("q", "img")]).unwrap()] {
        let all: Vec<ImageId> = list_cards(conn, &filter, None, Direction::Older, 100).unwrap().iter().map(|card| card.id).collect();
        for (index, id) in all.iter().enumerate() {
            let found = neighbours(conn, *id, &filter).unwrap();
            assert_eq!(found.newer, index.checked_sub(1).map(|index| all[index]));
            assert_eq!(found.older, all.get(index + 1).copied());
        }
    }
}

#[test]
fn a_file_is_found_where_this_host_mounts_its_vault() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/mnt/photos".as_ref());
    let summer = folder(conn, root, "summer");
    image("IMG_1").file("IMG_1.JPG", "jpeg", "ORIGINAL").insert(conn, summer);
    let id = file_id(conn, "IMG_1.JPG");
    let location = find_file_location(conn, id, HOST).unwrap();
    assert_eq!(location.path.on(&location.mount.unwrap()), std::path::Path::new("/mnt/photos/summer/IMG_1.JPG"));
    assert_eq!(find_file_location(conn, id, "another-host").unwrap().mount, None);
    sql_query("UPDATE vaults SET offline_since = now(), offline_reason = 'unplugged'").execute(conn).unwrap();
    assert_eq!(find_file_location(conn, id, HOST).unwrap().offline.as_deref(), Some("unplugged"));
    assert!(find_file_location(conn, FileId(999), HOST).is_err());
}

#[test]
fn a_name_that_leaves_the_vault_is_no_location() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/mnt/photos".as_ref());
    image("IMG_1").file("..", "jpeg", "ORIGINAL").insert(conn, root);
    let id = file_id(conn, "..");
    assert!(find_file_location(conn, id, HOST).is_err());
}

#[test]
fn a_picture_is_made_only_for_the_key_it_was_made_for() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let id = image("IMG_1").picture("aa").insert(conn, root);
    let state = |conn: &mut _| {
        let state = find_picture_state(conn, id).unwrap();
        (state.is_made, state.error)
    };
    assert_eq!(state(conn), (false, None));
    sql_query(format!("INSERT INTO pictures (image_id, key, error) VALUES ({id}, 'aa', 'no pixels')")).execute(conn).unwrap();
    assert_eq!(state(conn), (true, Some("no pixels".to_owned())));
    sql_query("UPDATE images SET picture_key = 'bb'").execute(conn).unwrap();
    assert_eq!(state(conn), (false, None));
}

#[test]
fn a_folder_counts_and_covers_what_lies_below_it() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let (b, a) = (folder(conn, root, "b"), folder(conn, root, "A"));
    let deep = folder(conn, b, "deep");
    for number in 0..6 {
        image(&format!("IMG_{number}")).at(&format!("2019-08-0{} 10:00:00", 1 + number)).picture(&format!("k{number}")).insert(conn, deep);
    }
    image("IMG_9").at("2019-08-04 11:00:00").picture("k9").insert(conn, b);
    image("IMG_10").insert(conn, b);

    let roots = list_folders(conn, None).unwrap();
    assert_eq!(
        roots.iter().map(|root| (root.vault_name.as_str(), root.image_count, root.folder_count)).collect::<Vec<_>>(),
        [("photos", 8, 2)]
    );
    let below = list_folders(conn, Some(root)).unwrap();
    assert_eq!(below.iter().map(|card| (card.id, card.image_count, card.folder_count)).collect::<Vec<_>>(), [(a, 0, 0), (b, 8, 1)]);
    assert_eq!(below[1].cover_keys, ["k5", "k4", "k9", "k3"]);
    assert_eq!(below[1].cover_images.len(), 4);
    assert!(below[0].cover_keys.is_empty());
    let steps = breadcrumbs(conn, deep).unwrap().unwrap();
    assert_eq!(steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["photos", "b", "deep"]);
    assert_eq!(breadcrumbs(conn, FolderId(999)).unwrap(), None);
}
