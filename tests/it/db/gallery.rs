//! Pages, days and facets of random libraries, and the text search.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{PgConnection, RunQueryDsl, sql_query, sql_types::BigInt};
use hm::{
    db::{
        facets::facets,
        gallery::{GalleryCard, Gathered, find_page, list_cards, list_cards_of_days},
        timeline::timeline,
    },
    models::{Cursor, Direction, Filter, FolderId, ImageId, MediaType, words},
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::support::{
    TestDatabase,
    library::{Image, folder, image, vault},
};

/// An image as it was written, to be judged without SQL.
struct Known {
    id: ImageId,
    image: Image,
    folder: FolderId,
}

struct Library {
    database: TestDatabase,
    known: Vec<Known>,
    /// Folder, and itself with all below it.
    subtrees: Vec<(FolderId, Vec<FolderId>)>,
}

/// Few days, few seconds, few values: ties and mixtures everywhere. The seed is fixed, so a failure can be repeated.
fn random_library(count: usize) -> Library {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let mut random = SmallRng::seed_from_u64(2019);
    let root = vault(&mut conn, "photos", "/nowhere".as_ref());
    let outer = folder(&mut conn, root, "outer");
    let inner = folder(&mut conn, outer, "inner");
    let other = folder(&mut conn, root, "other");
    let second = vault(&mut conn, "second", "/nowhere".as_ref());
    let folders = [root, outer, inner, other, second];
    let known = (0..count).map(|number| {
        let mut new = image(&format!("IMG_{number}"));
        let year = random.random_range(2018..=2019);
        let month = random.random_range(1..=2);
        new.captured_at = format!("{year}-0{month}-0{} 10:00:0{}", random.random_range(1..=3), random.random_range(0..=2));
        new.camera = Some(format!("Camera {}", random.random_range(0..3))).filter(|_| random.random_bool(0.8));
        new.lens = Some(format!("Lens {}", random.random_range(0..2))).filter(|_| random.random_bool(0.5));
        new.rating = Some(random.random_range(-1..=5)).filter(|_| random.random_bool(0.7));
        new.has_raw = random.random_bool(0.5);
        new.has_jpeg = random.random_bool(0.7);
        new.is_video = random.random_bool(0.1);
        new.has_gps = random.random_bool(0.4);
        new.words = format!("img {number} {}", ["lake", "Zoé", "lakeside", ""][random.random_range(0..4)]);
        let folder = folders[random.random_range(0..folders.len())];
        Known { id: new.insert(&mut conn, folder), image: new, folder }
    });
    let known = known.collect();
    let subtrees = vec![
        (root, vec![root, outer, inner, other]),
        (outer, vec![outer, inner]),
        (inner, vec![inner]),
        (second, vec![second]),
        (FolderId(999_999), vec![]),
    ];
    Library { database, known, subtrees }
}

impl Library {
    fn passes(&self, known: &Known, filter: &Filter) -> bool {
        let image = &known.image;
        let year_month = (image.captured_at[..4].parse().ok(), image.captured_at[5..7].parse().ok());
        let rating = image.rating.unwrap_or(0);
        let in_folder = |folder| self.subtrees.iter().any(|(top, all)| *top == folder && all.contains(&known.folder));
        let has_words = |text: &str| words(text).iter().all(|asked| words(&image.words).iter().any(|word| word.starts_with(asked)));
        filter.year.is_none_or(|year| year_month.0 == Some(year))
            && filter.month.is_none_or(|month| year_month.1 == Some(month))
            && filter.camera.as_ref().is_none_or(|camera| image.camera.as_ref() == Some(camera))
            && filter.lens.as_ref().is_none_or(|lens| image.lens.as_ref() == Some(lens))
            && filter.rating.is_none_or(|asked| if asked > 0 { rating >= i16::from(asked) } else { rating == i16::from(asked) })
            && filter.media_type.is_none_or(|media_type| match media_type {
                MediaType::Raw => image.has_raw,
                MediaType::Jpeg => image.has_jpeg,
                MediaType::Video => image.is_video,
            })
            && filter.folder.is_none_or(in_folder)
            && filter.has_gps.is_none_or(|has| has == image.has_gps)
            && has_words(&filter.query.to_string())
    }

    /// All that pass, newest first.
    fn expected(&self, filter: &Filter) -> Vec<ImageId> {
        let mut passing: Vec<_> = self.known.iter().filter(|known| self.passes(known, filter)).collect();
        passing.sort_by(|a, b| (&b.image.captured_at, b.id).cmp(&(&a.image.captured_at, a.id)));
        passing.into_iter().map(|known| known.id).collect()
    }

    fn filters(&self) -> impl Strategy<Value = Filter> + use<> {
        let folders: Vec<FolderId> = self.subtrees.iter().map(|(folder, _)| *folder).collect();
        let maybe = |values: &'static [&'static str]| proptest::option::weighted(0.25, select(values).prop_map(str::to_owned));
        let types = [MediaType::Raw, MediaType::Jpeg, MediaType::Video];
        (
            proptest::option::weighted(0.3, (2018..=2020_i32, proptest::option::of(1..=3_u32))),
            maybe(&["Camera 0", "Camera 2", "No such camera"]),
            maybe(&["Lens 0", "Lens 1"]),
            proptest::option::weighted(0.25, -1..=5_i8),
            proptest::option::weighted(0.25, select(types.to_vec())),
            proptest::option::weighted(0.3, select(folders)),
            proptest::option::weighted(0.2, any::<bool>()),
            maybe(&["lake", "LAKES", "zoe\u{301}", "img", "1", "lake img", "' & ! :*", "nothing like it"]),
        )
            .prop_map(|(days, camera, lens, rating, media_type, folder, has_gps, text)| Filter {
                year: days.map(|(year, _)| year),
                month: days.and_then(|(_, month)| month),
                camera,
                lens,
                rating,
                media_type,
                folder,
                has_gps,
                query: text.map(|text| text.parse().unwrap()).unwrap_or_default(),
            })
    }
}

fn ids(cards: &[GalleryCard]) -> Vec<ImageId> {
    cards.iter().map(|card| card.id).collect()
}

/// Turns pages from one end to the other; newest first whichever way it goes.
fn all_pages(conn: &mut PgConnection, filter: &Filter, direction: Direction, limit: i64) -> Vec<ImageId> {
    let mut pages: Vec<Vec<ImageId>> = Vec::new();
    let mut from: Option<Cursor> = None;
    for _ in 0..1_000 {
        let cards = list_cards(conn, filter, from, direction, limit).unwrap();
        assert!(cards.len() as i64 <= limit);
        let edge = if direction == Direction::Older { cards.last() } else { cards.first() };
        let Some(edge) = edge else { break };
        from = Some(edge.cursor().to_string().parse().unwrap());
        pages.push(ids(&cards));
    }
    if direction == Direction::Newer {
        pages.reverse();
    }
    pages.concat()
}

/// Turns whole pages from one end to the other, by the ways that each of them shows, and asks each again from the other side.
fn all_whole_pages(conn: &mut PgConnection, gathered: &Gathered, filter: &Filter, direction: Direction, size: usize) -> Vec<ImageId> {
    let days = timeline(conn, filter).unwrap();
    let mut pages: Vec<Vec<ImageId>> = Vec::new();
    let mut from: Option<Cursor> = None;
    for _ in 0..1_000 {
        let page = find_page(conn, gathered, filter, from, direction, size).unwrap();
        assert!(page.cards.len() <= size);
        assert!(page.cut.iter().all(|day| days.contains(day)), "{:?} of {days:?}", page.cut);
        let ends = [page.newer, page.older].into_iter().flatten().map(|end| end.captured_at.date());
        assert_eq!(ends.collect::<BTreeSet<_>>(), page.cut.iter().map(|day| day.day).collect());
        pages.push(ids(&page.cards));
        let (on, back) = if direction == Direction::Older { (page.older, page.newer) } else { (page.newer, page.older) };
        assert_eq!(back.is_some(), pages.len() > 1, "a way back from all but the first page");
        from = on;
        if from.is_none() {
            break;
        }
    }
    if direction == Direction::Newer {
        pages.reverse();
    }
    pages.concat()
}

#[test]
fn pages_days_and_facets_agree_with_a_plain_count_for_any_filter() {
    let library = random_library(400);
    let conn = &mut library.database.connection();
    let mut runner = TestRunner::new(Config { cases: 80, failure_persistence: None, ..Config::default() });
    let cases = (library.filters(), 1..=90_i64);
    let conn = std::cell::RefCell::new(conn);
    runner
        .run(&cases, |(filter, limit)| {
            let conn = &mut **conn.borrow_mut();
            let expected = library.expected(&filter);
            prop_assert_eq!(&all_pages(conn, &filter, Direction::Older, limit), &expected, "older");
            prop_assert_eq!(&all_pages(conn, &filter, Direction::Newer, limit), &expected, "newer");
            let gathered = Gathered::default();
            for (direction, times) in [(Direction::Older, "first"), (Direction::Newer, "second")] {
                let pages = all_whole_pages(conn, &gathered, &filter, direction, limit as usize);
                prop_assert_eq!(&pages, &expected, "whole pages, {}", times);
            }

            let days = timeline(conn, &filter).unwrap();
            prop_assert!(days.windows(2).all(|pair| pair[0].day > pair[1].day));
            let total: i64 = days.iter().map(|day| i64::from(day.image_count)).sum();
            prop_assert_eq!(total, expected.len() as i64);
            prop_assert_eq!(days.iter().map(|day| day.ratio_milli_sum).sum::<i64>(), 1500 * total);
            let of_days = days.iter().flat_map(|day| ids(&list_cards_of_days(conn, &filter, day.day, day.day, None, 500).unwrap()));
            prop_assert_eq!(&of_days.collect::<Vec<_>>(), &expected, "day by day");
            if let Some(matches) = gathered.gather(conn, &filter).unwrap() {
                prop_assert_eq!(&matches.days(), &days, "days of what is gathered");
                let of_days = days.iter().flat_map(|day| ids(&matches.list_cards_of_days(conn, day.day, day.day, None, 500).unwrap()));
                prop_assert_eq!(&of_days.collect::<Vec<_>>(), &expected, "day by day, of what is gathered");
            }
            if let (Some(newest), Some(oldest)) = (days.first(), days.last()) {
                let first = list_cards_of_days(conn, &filter, newest.day, oldest.day, None, limit).unwrap();
                let after = first.last().map(GalleryCard::cursor);
                let rest = list_cards_of_days(conn, &filter, newest.day, oldest.day, after, 500).unwrap();
                prop_assert_eq!(&[ids(&first), ids(&rest)].concat(), &expected, "a stretch of days in two parts");
            }

            let found = facets(conn, &filter).unwrap();
            let count = |filter: Filter| library.expected(&filter).len() as i64;
            for camera in &found.cameras {
                prop_assert_eq!(camera.count, count(Filter { camera: Some(camera.value.clone()), ..filter.clone() }));
            }
            for lens in &found.lenses {
                prop_assert_eq!(lens.count, count(Filter { lens: Some(lens.value.clone()), ..filter.clone() }));
            }
            for found in &found.types {
                prop_assert_eq!(found.count, count(Filter { media_type: Some(found.value), ..filter.clone() }));
            }
            for found in &found.gps {
                prop_assert_eq!(found.count, count(Filter { has_gps: Some(found.value), ..filter.clone() }));
            }
            let rated: i64 = found.ratings.iter().filter(|rating| rating.value >= 3).map(|rating| rating.count).sum();
            prop_assert_eq!(rated, count(Filter { rating: Some(3), ..filter.clone() }));
            prop_assert_eq!(found.ratings.iter().map(|rating| rating.count).sum::<i64>(), count(Filter { rating: None, ..filter.clone() }));
            let all_years = Filter { year: None, month: None, ..filter.clone() };
            prop_assert_eq!(found.years.iter().map(|year| year.count).sum::<i64>(), count(all_years));
            for year in &found.years {
                let of_year = Filter { year: Some(year.year), month: None, ..filter.clone() };
                prop_assert_eq!(year.count, count(of_year.clone()));
                for month in &year.months {
                    prop_assert_eq!(month.count, count(Filter { month: Some(month.value), ..of_year.clone() }));
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_gathered_is_kept_until_anything_is_written() {
    let library = random_library(40);
    let conn = &mut library.database.connection();
    let filter = Filter { query: "lake OR zoe".parse().unwrap(), ..Filter::default() };
    let gathered = Gathered::default();
    assert!(gathered.kept(conn, &filter).unwrap().is_none(), "nothing is gathered yet");
    // Other tests write into databases of the same server, and a snapshot is of all of them.
    let kept = (0..1_000).find_map(|_| {
        let read = gathered.gather(conn, &filter).unwrap().unwrap();
        gathered.kept(conn, &filter).unwrap().map(|kept| (read, kept))
    });
    let (read, kept) = kept.expect("it is never kept");
    assert!(std::sync::Arc::ptr_eq(&read, &kept));

    let mut other = library.database.connection();
    for _ in 0..10 {
        let before = find_page(conn, &gathered, &filter, None, Direction::Older, 9).unwrap();
        let gone = before.cards.first().expect("some pass").id;
        sql_query("UPDATE images SET search_words = ''::tsvector WHERE id = $1").bind::<BigInt, _>(gone.0).execute(&mut other).unwrap();
        let after = find_page(conn, &gathered, &filter, None, Direction::Older, 9).unwrap();
        assert_eq!(ids(&after.cards)[..8], ids(&before.cards)[1..], "an image that no longer passes is not shown");
    }
}

#[test]
fn the_timeline_follows_every_change_of_the_images() {
    let library = random_library(60);
    let conn = &mut library.database.connection();
    let counted = |conn: &mut PgConnection| {
        let days = timeline(conn, &Filter::default()).unwrap();
        days.into_iter().map(|day| (day.day.to_string(), day.image_count)).collect::<BTreeMap<_, _>>()
    };
    sql_query("UPDATE images SET captured_at = captured_at + interval '40 days' WHERE id % 2 = 0").execute(conn).unwrap();
    sql_query("DELETE FROM images WHERE id % 3 = 0").execute(conn).unwrap();
    sql_query("UPDATE images SET title = 'the day stays'").execute(conn).unwrap();
    let from_table = counted(conn);
    sql_query("TRUNCATE timeline_days").execute(conn).unwrap();
    sql_query("INSERT INTO timeline_days SELECT day, count(*), sum(ratio_milli) FROM images GROUP BY day").execute(conn).unwrap();
    assert_eq!(from_table, counted(conn));
    sql_query("DELETE FROM images").execute(conn).unwrap();
    assert!(counted(conn).is_empty(), "a day without images is no day");
}

#[test]
fn a_card_shows_the_placeholder_of_its_current_picture_only() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let id = image("IMG_1").picture("aa").insert(conn, root);
    let placeholder =
        |conn: &mut PgConnection| list_cards(conn, &Filter::default(), None, Direction::Older, 1).unwrap().remove(0).placeholder;
    assert_eq!(placeholder(conn), None);
    sql_query(format!("INSERT INTO pictures (image_id, key, placeholder) VALUES ({id}, 'aa', '\\x0102')")).execute(conn).unwrap();
    assert_eq!(placeholder(conn), Some(vec![1, 2]));
    sql_query("UPDATE images SET picture_key = 'bb'").execute(conn).unwrap();
    assert_eq!(placeholder(conn), None);
}
