//! Groups of images that show nearly the same.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use hm::{
    db::{
        alike::{Likeness, list_alike},
        duplicates::set_apart,
        results::record,
    },
    models::task::Answer,
};

use super::results::{embedder, outcome, register};
use crate::support::{
    self, TestDatabase,
    library::{picture_key, pictured, vault},
};

#[test]
fn frames_of_a_burst_are_alike() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &embedder());
    // A minute apart, the newest first.
    let images = pictured(conn, root, 8);
    let angles = [0.0_f32, 0.05, 0.1, 1.5, 0.02, 3.0, 3.01, 0.03];
    let outcomes: Vec<_> = images
        .iter()
        .zip(angles)
        .map(|(image, angle)| {
            outcome(&embedder(), *image, picture_key(image.0), Ok(Answer::Embedding { vector: vec![angle.cos(), angle.sin()] }))
        })
        .collect();
    record(conn, &outcomes).unwrap();
    let likeness = Likeness { cosine: 0.995, within: TimeDelta::minutes(2) };
    let found = list_alike(conn, network, likeness, None).unwrap();
    let groups: Vec<_> = found.groups.iter().map(|group| group.images.clone()).collect();
    // The fifth shows what the third does, two minutes before; the last is too far.
    assert_eq!(groups, [vec![images[0], images[1], images[2], images[4]], vec![images[5], images[6]]]);
    assert!(found.groups.iter().all(|group| (0.995..=1.0).contains(&group.cosine)), "{found:?}");
    assert_eq!(found.next, None);
    let wider = Likeness { within: TimeDelta::minutes(10), ..likeness };
    assert_eq!(list_alike(conn, network, wider, None).unwrap().groups[0].images.len(), 5);

    // What is decided is left out: the second rejected, two of the others picked, and two set apart.
    conn.batch_execute(
        "UPDATE images SET rating = -1 WHERE base_name = 'IMG_1'; UPDATE images SET pick = 'picked' WHERE base_name IN ('IMG_5', 'IMG_6')",
    )
    .unwrap();
    let found = list_alike(conn, network, likeness, None).unwrap();
    let groups: Vec<_> = found.groups.iter().map(|group| group.images.clone()).collect();
    assert_eq!(groups, [vec![images[0], images[2], images[4]]]);
    set_apart(conn, "anna", &[images[0], images[2]]).unwrap().unwrap();
    let groups = list_alike(conn, network, likeness, None).unwrap().groups;
    assert_eq!(groups.iter().map(|group| group.images.clone()).collect::<Vec<_>>(), [vec![images[2], images[4]]]);
}
