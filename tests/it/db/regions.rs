//! Regions: what networks find comes and goes, a person's word stays.

use diesel::{
    PgConnection, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    db::{
        grouping::{merge_images, split_image},
        regions::{Decision, Origin, StoredRegion, find_region, list_regions},
        results::{Retry, record, retry},
    },
    models::{
        ImageId, RegionId,
        task::{Answer, Found},
        vision::Mask,
    },
};

use super::results::{detector, found, outcome, regions, register};
use crate::support::{
    TestDatabase,
    library::{file_id, image, make_picture, picture_key, pictured, vault},
};

fn labels(conn: &mut PgConnection, image: ImageId) -> Vec<String> {
    list_regions(conn, image).unwrap().into_iter().map(|region| region.label).collect()
}

fn decide(conn: &mut PgConnection, region: &StoredRegion, decision: &str) {
    sql_query("UPDATE regions SET decision = $2 WHERE id = $1")
        .bind::<BigInt, _>(region.id.0)
        .bind::<Text, _>(decision)
        .execute(conn)
        .unwrap();
}

fn draw(conn: &mut PgConnection, image: ImageId, key: &str, label: &str) {
    sql_query(
        "INSERT INTO regions (image_id, picture_key, label, left_px, top_px, right_px, bottom_px, frame_width_px, frame_height_px, origin) \
         VALUES ($1, $2, $3, 0, 0, 4, 4, 10, 10, 'person')",
    )
    .bind::<BigInt, _>(image.0)
    .bind::<Text, _>(key)
    .bind::<Text, _>(label)
    .execute(conn)
    .unwrap();
}

#[test]
fn a_region_comes_back_with_its_mask() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    register(conn, &detector());
    let images = pictured(conn, root, 1);
    let mask = Mask::of_fills(10, 10, [(3, 7), (50, 61)]).unwrap();
    let masked = Found { mask: Some(mask.clone()), ..found("dog", 0.75) };
    let answer = Ok(Answer::Regions { width_px: 10, height_px: 10, regions: vec![found("cat", 0.25), masked.clone()] });
    record(conn, &[outcome(&detector(), images[0], picture_key(images[0].0), answer)]).unwrap();
    let all = list_regions(conn, images[0]).unwrap();
    assert_eq!(all.len(), 2);
    let dog = &all[0];
    assert_eq!((dog.label.as_str(), dog.score, dog.width_px, dog.height_px), ("dog", Some(0.75), 10, 10));
    assert_eq!((dog.bounds, dog.mask.as_ref(), dog.decision), (masked.bounds, Some(&mask), None));
    assert_eq!(dog.origin, Origin::Network(detector().network));
    assert_eq!(find_region(conn, dog.id).unwrap(), *dog);
    assert!(matches!(find_region(conn, RegionId(9_999)), Err(diesel::result::Error::NotFound)));
}

#[test]
fn another_answer_replaces_all_but_a_persons_word() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &detector());
    let images = pictured(conn, root, 2);
    let key = picture_key(images[0].0);
    let answer = |labels: &[&str]| outcome(&detector(), images[0], picture_key(images[0].0), regions(labels));
    record(conn, &[answer(&["dog", "cat", "bird"])]).unwrap();
    let all = list_regions(conn, images[0]).unwrap();
    for region in &all {
        match region.label.as_str() {
            "dog" => decide(conn, region, "confirmed"),
            "cat" => decide(conn, region, "rejected"),
            _ => {}
        }
    }
    draw(conn, images[0], key.as_str(), "zoey");
    retry(conn, &Retry::One(network, images[0])).unwrap();
    record(conn, &[answer(&["cat", "owl", "dog"])]).unwrap();
    let mut now: Vec<_> = list_regions(conn, images[0]).unwrap().into_iter().map(|region| (region.label, region.decision)).collect();
    now.sort_by(|one, other| one.0.cmp(&other.0));
    let (confirmed, rejected) = (Some(Decision::Confirmed), Some(Decision::Rejected));
    let expected = [("cat", rejected), ("dog", confirmed), ("owl", None), ("zoey", None)];
    assert_eq!(now, expected.map(|(label, decision)| (label.to_owned(), decision)), "what was decided on is not said once more");

    // Another picture, in which nothing is found: the person's word stays.
    make_picture(conn, images[0], &picture_key(1_000));
    let mut shown = labels(conn, images[0]);
    shown.sort();
    assert_eq!(shown, ["cat", "dog", "zoey"], "what a network found in the old picture is not shown on the new one");
    record(conn, &[outcome(&detector(), images[0], picture_key(1_000), regions(&[]))]).unwrap();
    assert_eq!(labels(conn, images[0]).len(), 3);
    assert_eq!(labels(conn, images[1]), [""; 0]);
}

#[test]
fn a_persons_word_follows_the_files() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let newer = image("B_1").at("2019-08-04 10:00:00").file("B_1.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    let older = image("A_1").at("2019-08-03 10:00:00").file("A_1.CR2", "cr2", "ORIGINAL").insert(conn, root);
    for image in [newer, older] {
        make_picture(conn, image, &picture_key(image.0));
    }
    draw(conn, newer, picture_key(newer.0).as_str(), "zoey");
    merge_images(conn, &[newer, older]).unwrap().unwrap();
    assert_eq!(labels(conn, older), ["zoey"]);
    // The file that it was drawn on leaves again.
    let apart = file_id(conn, "B_1.JPG");
    let new = split_image(conn, older, &[apart]).unwrap().unwrap();
    let key: Vec<_> = hm::db::image::find_image(conn, new).unwrap().image.picture_key.into_iter().collect();
    assert_eq!(labels(conn, older), ["zoey"], "of a picture that neither has now: it stays");
    draw(conn, older, &key[0], "max");
    assert_eq!(labels(conn, new), [""; 0]);
    merge_images(conn, &[new, older]).unwrap().unwrap();
    let new = split_image(conn, older, &[apart]).unwrap().unwrap();
    assert_eq!(labels(conn, new), ["max"]);
    assert_eq!(labels(conn, older), ["zoey"]);
}
