//! Split and merge.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Nullable, Text},
};
use hm::{
    db::{
        gallery::list_cards,
        grouping::{Refused, merge_images, split_image},
        image::{ImagePage, find_image},
        timeline::timeline,
    },
    models::{Direction, Filter, ImageId},
};

use crate::support::{
    TestDatabase,
    library::{file_id, image, vault},
};

fn names(page: &ImagePage) -> Vec<&str> {
    let mut names: Vec<&str> = page.files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[derive(QueryableByName)]
struct Pin {
    #[diesel(sql_type = Nullable<Text>)]
    pin: Option<String>,
}

fn pins(conn: &mut PgConnection) -> Vec<Option<String>> {
    let pins: Vec<Pin> = sql_query("SELECT pin FROM files ORDER BY name").load(conn).unwrap();
    pins.into_iter().map(|row| row.pin).collect()
}

#[test]
fn a_split_image_has_its_own_values_and_a_pin_that_scans_respect() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let mut both =
        image("IMG_1").file("IMG_1.CR2", "cr2", "ORIGINAL").file("IMG_1.CR2.xmp", "xmp", "SIDECAR").file("IMG_1.JPG", "jpeg", "EXPORT");
    both.rating = Some(4);
    let id = both.insert(conn, root);
    sql_query(
        r#"UPDATE files SET facts = '{"captured_at": {"local": "2019-08-05T08:00:00", "offset_minutes": 120, "source": "EXIF:DateTimeOriginal"},
        "width_px": 60, "height_px": 40, "orientation": 6}' WHERE name LIKE '%JPG'"#,
    )
    .execute(conn)
    .unwrap();
    let jpeg = file_id(conn, "IMG_1.JPG");

    let new = split_image(conn, id, &[jpeg]).unwrap().unwrap();
    let (old, new) = (find_image(conn, id).unwrap(), find_image(conn, new).unwrap());
    assert_eq!(names(&new), ["IMG_1.JPG"]);
    assert_eq!(names(&old), ["IMG_1.CR2", "IMG_1.CR2.xmp"]);
    let image = &new.image;
    assert_eq!((image.file_count, image.total_size_bytes, image.has_raw, image.has_jpeg), (1, 10, false, true));
    assert_eq!(
        (image.rating, image.grouping_rule.as_str(), image.suffixes.as_slice()),
        (Some(4), "person", [".JPG".to_owned()].as_slice())
    );
    assert_eq!((image.width_px, image.height_px, image.ratio_milli), (Some(40), Some(60), 666));
    assert_eq!((image.captured_at.to_string().as_str(), image.captured_offset_minutes), ("2019-08-05 08:00:00", Some(120)));
    assert_eq!((old.image.file_count, old.image.has_raw, old.image.has_jpeg, old.image.has_sidecar), (2, true, false, true));
    assert!(image.picture_key.is_some() && old.image.picture_key.is_some() && image.picture_key != old.image.picture_key);
    let pins = pins(conn);
    assert_eq!(pins.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(timeline(conn, &Filter::default()).unwrap().len(), 2);
}

#[test]
fn merged_images_are_the_oldest_one_found_by_all_their_words() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let newer = image("B_1").at("2019-08-04 10:00:00").file("B_1.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    let older = image("A_1").at("2019-08-03 10:00:00").file("A_1.CR2", "cr2", "ORIGINAL").insert(conn, root);
    assert_eq!(merge_images(conn, &[newer, older, newer]).unwrap(), Ok(older));
    let page = find_image(conn, older).unwrap();
    assert_eq!(names(&page), ["A_1.CR2", "B_1.JPG"]);
    assert_eq!((page.image.file_count, page.image.has_raw, page.image.has_jpeg), (2, true, true));
    assert!(find_image(conn, newer).is_err());
    let pins = pins(conn);
    assert!(pins[0].is_some() && pins[0] == pins[1]);
    for text in ["a", "b"] {
        let filter = Filter { query: text.parse().unwrap(), ..Filter::default() };
        assert_eq!(list_cards(conn, &filter, None, Direction::Older, 9).unwrap().len(), 1, "{text}");
    }
    let days = timeline(conn, &Filter::default()).unwrap();
    assert_eq!(days.iter().map(|day| day.image_count).sum::<i32>(), 1);
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let other_root = vault(conn, "second", "/nowhere".as_ref());
    let one = image("A_1").file("A_1.JPG", "jpeg", "ORIGINAL").insert(conn, root);
    let other = image("B_1").file("B_1.JPG", "jpeg", "ORIGINAL").insert(conn, other_root);
    let (a, b) = (file_id(conn, "A_1.JPG"), file_id(conn, "B_1.JPG"));
    assert_eq!(split_image(conn, one, &[a]).unwrap(), Err(Refused::NothingToShow));
    assert_eq!(split_image(conn, one, &[b]).unwrap(), Err(Refused::NotItsFiles));
    assert!(split_image(conn, ImageId(999), &[a]).is_err());
    assert_eq!(merge_images(conn, &[one, one]).unwrap(), Err(Refused::OneImage));
    assert_eq!(merge_images(conn, &[one, other]).unwrap(), Err(Refused::OtherVault));
    assert!(merge_images(conn, &[one, ImageId(999)]).is_err());
    assert_eq!(pins(conn), [None, None]);
}
