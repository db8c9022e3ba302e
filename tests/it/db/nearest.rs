//! Nearest neighbours, against the plain answer over the same vectors.

use std::collections::BTreeSet;

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use hm::{
    db::{
        alike::{Likeness, list_alike},
        nearest::{MOST_RANKED, nearest},
        results::{count_lacking, list_lacking, record},
        vectors::{IndexState, build_index, drop_index, find_index, with_index_turn},
    },
    models::{Filter, ImageId, NetworkId, task::Answer},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::results::{embedder, outcome, register};
use crate::support::{
    self, TestDatabase,
    library::{picture_key, pictured, vault},
};

const DIMENSIONS: usize = 32;

/// A direction near another, or anywhere.
fn direction(chance: &mut StdRng, near: Option<&[f32]>) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..DIMENSIONS).map(|_| chance.random_range(-1.0..1.0)).collect();
    if let Some(near) = near {
        vector.iter_mut().zip(near).for_each(|(number, of_near)| *number = of_near + *number * 0.15);
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.iter().map(|number| number / length).collect()
}

/// Images with vectors in a few clusters, as those of photographs are; every tenth image is rated.
fn library(conn: &mut PgConnection, count: i64) -> (NetworkId, Vec<(ImageId, Vec<f32>)>) {
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let network = register(conn, &embedder());
    let mut chance = StdRng::seed_from_u64(7);
    let clusters: Vec<Vec<f32>> = (0..20).map(|_| direction(&mut chance, None)).collect();
    let images = pictured(conn, root, count);
    let vectors: Vec<(ImageId, Vec<f32>)> = images
        .into_iter()
        .map(|image| {
            let cluster = chance.random_range(0..clusters.len());
            (image, direction(&mut chance, Some(&clusters[cluster])))
        })
        .collect();
    let outcomes: Vec<_> = vectors
        .iter()
        .map(|(image, vector)| outcome(&embedder(), *image, picture_key(image.0), Ok(Answer::Embedding { vector: vector.clone() })))
        .collect();
    for some in outcomes.chunks(500) {
        assert_eq!(record(conn, some).unwrap().answered, some.len());
    }
    conn.batch_execute("UPDATE images SET rating = 4 WHERE id % 10 = 0; ANALYZE").unwrap();
    (network, vectors)
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// The nearest by comparing all.
fn exactly(vectors: &[(ImageId, Vec<f32>)], vector: &[f32], passes: impl Fn(ImageId) -> bool) -> Vec<(ImageId, f32)> {
    let mut all: Vec<_> =
        vectors.iter().filter(|(image, _)| passes(*image)).map(|(image, other)| (*image, cosine(vector, other))).collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1));
    all
}

fn filter(query: &str) -> Filter {
    Filter { query: query.parse().unwrap(), ..Filter::default() }
}

/// The share of the ten nearest that were found, over some questions.
fn recall(
    conn: &mut PgConnection,
    network: NetworkId,
    vectors: &[(ImageId, Vec<f32>)],
    query: &str,
    passes: impl Fn(ImageId) -> bool,
) -> f64 {
    let mut chance = StdRng::seed_from_u64(11);
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..20 {
        let near = &vectors[chance.random_range(0..vectors.len())].1;
        let vector = direction(&mut chance, Some(near));
        let expected: BTreeSet<ImageId> = exactly(vectors, &vector, &passes).into_iter().take(10).map(|(image, _)| image).collect();
        let answer = nearest(conn, network, &vector, &filter(query), 10, 0).unwrap();
        assert!(answer.is_sorted_by(|one, other| one.1 >= other.1), "{answer:?}");
        assert!(answer.iter().all(|(image, _)| passes(*image)), "outside the filter");
        for (image, near) in &answer {
            let exact = cosine(&vector, &vectors.iter().find(|(other, _)| other == image).unwrap().1);
            assert!((exact - near).abs() < 2e-3, "{exact} {near}");
        }
        found += answer.iter().filter(|(image, _)| expected.contains(image)).count();
        wanted += expected.len();
    }
    found as f64 / wanted as f64
}

#[test]
fn the_nearest_come_first_within_the_filter() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let (network, vectors) = library(conn, 1_500);
    let is_rated = |image: ImageId| image.0 % 10 == 0;
    // Half precision may swap two that are as near.
    assert!(recall(conn, network, &vectors, "", |_| true) > 0.98);
    assert!(recall(conn, network, &vectors, "rating:>=4", is_rated) > 0.98);
    let own = &vectors[17];
    assert_eq!(nearest(conn, network, &own.1, &Filter::default(), 1, 0).unwrap()[0].0, own.0);

    build_index(conn, network, 64).unwrap();
    assert_eq!(find_index(conn, network, 0).unwrap(), IndexState::Ready);
    assert!(recall(conn, network, &vectors, "", |_| true) > 0.98, "along the index");
    assert!(recall(conn, network, &vectors, "rating:>=4", is_rated) > 0.98, "few pass: compared");
    assert!(recall(conn, network, &vectors, "-rating:>=4", |image| !is_rated(image)) > 0.98, "many pass: along the index");
    assert!(nearest(conn, network, &own.1, &filter("rating:5"), 10, 0).unwrap().is_empty());
    drop_index(conn, network).unwrap();
    assert_eq!(find_index(conn, network, 0).unwrap(), IndexState::Unneeded);
}

#[test]
fn what_passes_is_found_however_far_it_lies() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    // Too many pass to be compared one by one, and none of them is among the nearest.
    let (network, vectors) = library(conn, 9_000);
    let vector = direction(&mut StdRng::seed_from_u64(3), Some(&vectors[3].1));
    let mut farthest: Vec<ImageId> = exactly(&vectors, &vector, |_| true).into_iter().map(|(image, _)| image).collect();
    let far: BTreeSet<ImageId> = farthest.split_off(5_500).into_iter().collect();
    let numbers: Vec<String> = far.iter().map(ToString::to_string).collect();
    conn.batch_execute(&format!("UPDATE images SET rating = 5 WHERE id IN ({}); ANALYZE", numbers.join(", "))).unwrap();
    build_index(conn, network, 64).unwrap();
    let expected: BTreeSet<ImageId> =
        exactly(&vectors, &vector, |image| far.contains(&image)).into_iter().take(20).map(|(image, _)| image).collect();
    let answer = nearest(conn, network, &vector, &filter("rating:5"), 20, 0).unwrap();
    assert!(answer.iter().all(|(image, _)| far.contains(image)), "{answer:?}");
    let found = answer.iter().filter(|(image, _)| expected.contains(image)).count();
    assert!(answer.len() == 20 && found >= 18, "{found} of {}", answer.len());
}

#[test]
fn pages_fit_each_other_and_end() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let (network, vectors) = library(conn, 700);
    let vector = vectors[3].1.clone();
    for indexed in [false, true] {
        if indexed {
            build_index(conn, network, 64).unwrap();
        }
        let whole = nearest(conn, network, &vector, &Filter::default(), 120, 0).unwrap();
        let mut pages = Vec::new();
        for offset in (0..120).step_by(40) {
            pages.extend(nearest(conn, network, &vector, &Filter::default(), 40, offset).unwrap());
        }
        assert_eq!(pages, whole, "indexed: {indexed}");
        let all = nearest(conn, network, &vector, &filter("-rating:>=4"), MOST_RANKED, 0).unwrap();
        assert_eq!(all.len(), 630, "all that pass, indexed: {indexed}");
        assert!(nearest(conn, network, &vector, &Filter::default(), 40, MOST_RANKED).unwrap().is_empty());
        assert_eq!(nearest(conn, network, &vector, &Filter::default(), 40, 690).unwrap().len(), 10);
    }
    assert!(nearest(conn, network, &vector, &Filter::default(), 0, 0).unwrap().is_empty());
}

#[test]
fn questions_that_make_no_sense_are_told_apart() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    use diesel::result::Error;
    let network = register(conn, &embedder());
    assert!(nearest(conn, network, &[1.0], &Filter::default(), 10, 0).unwrap().is_empty(), "no vector is there yet");
    let (network, _) = library(conn, 5);
    let error = nearest(conn, network, &[1.0], &Filter::default(), 10, 0).unwrap_err();
    assert!(matches!(error, Error::QueryBuilderError(_)) && error.to_string().contains("32 were expected"), "{error}");
    assert!(matches!(nearest(conn, NetworkId(999), &[1.0], &Filter::default(), 10, 0), Err(Error::NotFound)));
}

#[test]
fn one_at_a_time_builds_an_index_and_a_broken_one_is_known() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let (network, _) = library(conn, 50);
    let other = &mut database.connection();
    let turn = with_index_turn(conn, network, |_| with_index_turn(other, network, |_| Ok(()))).unwrap();
    assert_eq!(turn, Some(None), "somebody else builds it");
    assert_eq!(with_index_turn(&mut database.connection(), network, |_| Ok(())).unwrap(), Some(()));
    build_index(conn, network, 64).unwrap();
    let break_it = format!("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'embeddings_network_{network}'::regclass");
    conn.batch_execute(&break_it).unwrap();
    assert_eq!(find_index(conn, network, 0).unwrap(), IndexState::Broken);
    drop_index(conn, network).unwrap();
    conn.batch_execute("UPDATE networks SET done_count = 60000").unwrap();
    assert_eq!(find_index(conn, network, 0).unwrap(), IndexState::Wanted);
    assert_eq!(find_index(conn, network, 50_000).unwrap(), IndexState::Unneeded, "most are still to come");
}

/// Times the steps of the walks along the timeline that look at every vector, or whether it is there.
fn walk(conn: &mut PgConnection, network: NetworkId) {
    use std::time::Instant;
    const STEPS: usize = 100;
    let tell = |of: &str, began: Instant, found: usize| {
        println!("MEASURED {}", serde_json::json!({ "of": of, "took_ms": began.elapsed().as_secs_f64() * 1e3, "found": found }));
    };
    let mut after = None;
    for _ in 0..STEPS {
        let began = Instant::now();
        let stretch = list_alike(conn, network, Likeness::default(), after).unwrap();
        tell("alike", began, stretch.groups.len());
        after = stretch.next;
    }
    let mut after = None;
    for _ in 0..STEPS {
        let began = Instant::now();
        let stretch = list_lacking(conn, network, after, 1_000).unwrap();
        tell("lacking", began, stretch.images.len());
        after = stretch.next;
    }
    let began = Instant::now();
    tell("counted", began, count_lacking(conn, network).unwrap() as usize);
}

/// What tests/bench/nearest.py asks: in a library that it made, builds the index, answers questions or walks along the timeline, a
/// line of JSON each.
#[test]
#[ignore = "measures, asserts nothing"]
fn measured() {
    use std::time::Instant;
    let setting = |name: &str| std::env::var(format!("HM_BENCH_{name}")).unwrap();
    let conn = &mut PgConnection::establish(&setting("DATABASE_URL")).unwrap();
    let version = hm::models::task::NetworkVersion { name: setting("NETWORK"), version: "1".to_owned() };
    let network = hm::db::networks::find(conn, hm::models::task::TaskKind::Embed, &version).unwrap().unwrap().id;
    let began = Instant::now();
    if setting("MODE") == "build" {
        build_index(conn, network, 4096).unwrap();
        println!("MEASURED {}", serde_json::json!({ "took_s": began.elapsed().as_secs_f64() }));
        return;
    }
    if setting("MODE") == "walk" {
        return walk(conn, network);
    }
    let questions: Vec<Vec<f32>> = serde_json::from_str(&std::fs::read_to_string(setting("QUESTIONS")).unwrap()).unwrap();
    let filter = filter(&setting("FILTER"));
    for question in questions {
        let began = Instant::now();
        let found = nearest(conn, network, &question, &filter, 10, 0).unwrap();
        let took_ms = began.elapsed().as_secs_f64() * 1e3;
        let ids: Vec<i64> = found.iter().map(|(image, _)| image.0).collect();
        println!("MEASURED {}", serde_json::json!({ "took_ms": took_ms, "ids": ids }));
    }
}
