//! The map against a plain count: every placed image in exactly one cluster, at every zoom, of a filter and of all, also after images
//! were moved and removed.

use std::collections::BTreeMap;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Bool, Double, Nullable, SmallInt, Text},
};
use hm::{
    db::{
        gallery::list_cards,
        map::{Cluster, CountryCount, TownCount, list_clusters, list_places},
    },
    models::{
        Direction, Filter, MediaType, Query,
        map::{CLOSEST_ZOOM, Cell, FINEST_LEVEL, View},
        query::{Area, Term},
    },
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    migrations::dump,
    support::{TestDatabase, library::vault},
};

#[derive(Debug, Clone, QueryableByName)]
struct Placed {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<SmallInt>)]
    rating: Option<i16>,
    #[diesel(sql_type = Double)]
    latitude_deg: f64,
    #[diesel(sql_type = Double)]
    longitude_deg: f64,
    #[diesel(sql_type = BigInt)]
    map_cell: i64,
    #[diesel(sql_type = Bool)]
    has_raw: bool,
    #[diesel(sql_type = Bool)]
    has_jpeg: bool,
    #[diesel(sql_type = Bool)]
    is_video: bool,
}

/// Crowds around a few cities, some all over the earth, some at its ends and some nowhere. The seed is fixed.
fn fill(conn: &mut PgConnection) {
    vault(conn, "photos", "/nowhere".as_ref());
    let mut random = SmallRng::seed_from_u64(11);
    let cities = [(47.3769, 8.5417), (-17.0, 179.99), (40.71, -74.0), (47.38, 8.55)];
    let mut values = Vec::new();
    for number in 0..900 {
        let mut near = |(latitude, longitude): (f64, f64), wide: f64| {
            (latitude + random.random_range(-wide..wide), longitude + random.random_range(-wide..wide))
        };
        let (latitude, longitude) = match number % 9 {
            0..4 => near(cities[number % 4], 0.02),
            4..6 => near(cities[number % 2], 2.0),
            6 => (random.random_range(-90.0..90.0), random.random_range(-180.0..180.0)),
            7 => [(90.0, 0.0), (-90.0, 180.0), (0.5, -180.0), (0.5, 180.0), (47.3769, 8.5417)][number % 5],
            _ => (f64::NAN, 0.0),
        };
        let longitude = if longitude > 180.0 { longitude - 360.0 } else { longitude };
        let place = if latitude.is_nan() { "NULL, NULL".to_owned() } else { format!("{latitude}, {longitude}") };
        values.push(format!("({number}, {place}, {})", random.random_range(0..6)));
    }
    conn.batch_execute(&format!(
        "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, latitude_deg, longitude_deg, rating, \
            picture_key, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule) \
         SELECT f.vault_id, f.id, 'IMG_' || n, timestamp '2020-01-01' + n * interval '1 hour', 'EXIF:DateTimeOriginal', latitude, longitude, \
            rating, CASE WHEN n % 3 > 0 THEN md5(n::text) END, 0, 0, '{{}}', n % 5 < 3, n % 4 > 0, false, n % 20 = 4, 'stem' \
         FROM folders AS f, (VALUES {}) AS v (n, latitude, longitude, rating)",
        values.join(", ")
    ))
    .unwrap();
}

fn placed(conn: &mut PgConnection) -> Vec<Placed> {
    sql_query("SELECT id, rating, latitude_deg, longitude_deg, map_cell, has_raw, has_jpeg, is_video FROM images WHERE latitude_deg IS NOT NULL ORDER BY id")
        .load(conn)
        .unwrap()
}

/// Compares the clusters of a view with the images counted one by one.
fn check(
    conn: &mut PgConnection,
    images: &[Placed],
    filter: &Filter,
    passes: impl Fn(&Placed) -> bool,
    area: &Area,
    zoom: u8,
) -> Vec<Cluster> {
    let view = View::of(area, zoom);
    let covered = |image: &&Placed| {
        let code = Cell::of(image.latitude_deg, image.longitude_deg, FINEST_LEVEL).code;
        view.stretches(FINEST_LEVEL).iter().any(|(first, after)| (*first..*after).contains(&code))
    };
    let mut expected: BTreeMap<i64, Vec<&Placed>> = BTreeMap::new();
    for image in images.iter().filter(|image| passes(image)).filter(covered) {
        expected.entry(Cell::of(image.latitude_deg, image.longitude_deg, view.level()).code).or_default().push(image);
    }
    let clusters = list_clusters(conn, filter, &view).unwrap();
    let counted: Vec<(i64, i64)> = clusters.iter().map(|cluster| (cluster.cell.code, cluster.image_count)).collect();
    let plain: Vec<(i64, i64)> = expected.iter().map(|(code, images)| (*code, images.len() as i64)).collect();
    assert_eq!(counted, plain, "{area:?} at {zoom}");
    for cluster in &clusters {
        let images = &expected[&cluster.cell.code];
        let count = images.len() as f64;
        let middle = (
            images.iter().map(|image| image.latitude_deg).sum::<f64>() / count,
            images.iter().map(|image| image.longitude_deg).sum::<f64>() / count,
        );
        assert!(
            (cluster.latitude_deg - middle.0).abs() < 1e-5 && (cluster.longitude_deg - middle.1).abs() < 1e-5,
            "{cluster:?} {middle:?}"
        );
        assert!(images.iter().any(|image| image.id == cluster.image.0), "{cluster:?} shows an image from elsewhere");
    }
    clusters
}

const WORLD: Area = Area { south_deg: -90.0, west_deg: -180.0, north_deg: 90.0, east_deg: 180.0 };

/// Squares as they are kept, and as counting the images one by one gives them.
const KEPT_CELLS: &str = "SELECT concat_ws(' ', level, cell, has_raw, has_jpeg, is_video, image_count, latitude_sum_udeg, longitude_sum_udeg) AS line \
    FROM map_cells WHERE image_count <> 0 OR latitude_sum_udeg <> 0 OR longitude_sum_udeg <> 0 ORDER BY 1";
const COUNTED_CELLS: &str = "SELECT concat_ws(' ', level, map_cell >> 2 * (24 - level), has_raw, has_jpeg, is_video, count(*), \
        sum(round(latitude_deg * 1e6)::bigint), sum(round(longitude_deg * 1e6)::bigint)) AS line \
    FROM images, unnest(ARRAY[4, 8, 12, 16]) AS level WHERE map_cell IS NOT NULL \
    GROUP BY level, map_cell >> 2 * (24 - level), has_raw, has_jpeg, is_video ORDER BY 1";

fn cells(conn: &mut PgConnection, question: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    sql_query(question).load::<Line>(conn).unwrap().into_iter().map(|row| row.line).collect()
}

fn check_everywhere(conn: &mut PgConnection) {
    let images = placed(conn);
    for image in &images {
        assert_eq!(image.map_cell, Cell::of(image.latitude_deg, image.longitude_deg, FINEST_LEVEL).code, "{image:?}");
    }
    let good = Filter { query: "rating:>=3".parse().unwrap(), ..Filter::default() };
    let is_good = |image: &Placed| image.rating >= Some(3);
    let areas = [
        WORLD,
        Area { south_deg: 45.0, west_deg: 5.0, north_deg: 49.0, east_deg: 11.0 },
        Area { south_deg: 47.36, west_deg: 8.53, north_deg: 47.39, east_deg: 8.56 },
        Area { south_deg: -18.0, west_deg: 178.0, north_deg: -16.0, east_deg: -178.0 },
        Area { south_deg: 80.0, west_deg: -180.0, north_deg: 90.0, east_deg: 180.0 },
    ];
    let of = |query: &str| Filter { query: query.parse().unwrap(), ..Filter::default() };
    let raw_by_address = Filter { media_type: Some(MediaType::Raw), ..Filter::default() };
    for area in areas {
        for zoom in 0..=CLOSEST_ZOOM {
            check(conn, &images, &Filter::default(), |_| true, &area, zoom);
            check(conn, &images, &good, is_good, &area, zoom);
            check(conn, &images, &of("type:raw"), |image| image.has_raw, &area, zoom);
            check(conn, &images, &of("type:video"), |image| image.is_video, &area, zoom);
            check(conn, &images, &of("type:jpeg -has:raw"), |image| image.has_jpeg && !image.has_raw, &area, zoom);
            check(conn, &images, &of("type:raw OR type:video"), |image| image.has_raw || image.is_video, &area, zoom);
        }
        check(conn, &images, &of("type:photo"), |image| !image.is_video, &area, 4);
        check(conn, &images, &raw_by_address, |image| image.has_raw, &area, 4);
        check(conn, &images, &Filter { has_gps: Some(true), ..raw_by_address.clone() }, |image| image.has_raw, &area, 4);
    }
    let kept = cells(conn, KEPT_CELLS);
    assert!(kept.len() > 100 && kept == cells(conn, COUNTED_CELLS), "squares are counted wrong");
    let world = check(conn, &images, &Filter::default(), |_| true, &WORLD, 3);
    assert_eq!(world.iter().map(|cluster| cluster.image_count).sum::<i64>(), images.len() as i64);
}

#[test]
fn every_placed_image_is_in_exactly_one_cluster() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    fill(conn);
    check_everywhere(conn);
    conn.batch_execute(
        "UPDATE images SET latitude_deg = -latitude_deg, longitude_deg = longitude_deg / 2 WHERE id % 5 = 0;
         UPDATE images SET latitude_deg = NULL, longitude_deg = NULL WHERE id % 7 = 0;
         UPDATE images SET latitude_deg = 10.5, longitude_deg = 20.5 WHERE id % 7 = 0 AND id % 2 = 0;
         UPDATE images SET title = 'moved nowhere' WHERE id % 3 = 0;
         DELETE FROM images WHERE id % 11 = 0;",
    )
    .unwrap();
    check_everywhere(conn);
    // A RAW comes, another goes and moves at once; one is gone and there again, which is no matter to a map.
    conn.batch_execute(
        "UPDATE images SET has_raw = true WHERE id % 13 = 0;
         UPDATE images SET has_raw = false, has_jpeg = true, latitude_deg = latitude_deg / 3 WHERE id % 6 = 0;
         UPDATE images SET is_video = NOT is_video WHERE id % 17 = 0;
         UPDATE images SET is_missing = true WHERE id % 2 = 0;
         UPDATE images SET latitude_deg = 11.5, longitude_deg = 21.5 WHERE id % 19 = 0;
         UPDATE images SET is_missing = false WHERE id % 4 = 0;
         DELETE FROM images WHERE id % 23 = 0;",
    )
    .unwrap();
    check_everywhere(conn);
}

/// A library that is older than the counts by kind has them after the next start, and a version before them can be gone back to.
#[test]
fn squares_are_counted_by_kind_from_what_is_there() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    fill(conn);
    conn.batch_execute("DELETE FROM images WHERE id % 11 = 0").unwrap();
    let (before, schema) = (cells(conn, KEPT_CELLS), dump(conn));
    conn.batch_execute(include_str!("../../../migrations/2026-11-27-000015_map_kinds/down.sql")).unwrap();
    conn.batch_execute("UPDATE images SET latitude_deg = latitude_deg / 2 WHERE id % 5 = 0; DELETE FROM images WHERE id % 13 = 0").unwrap();
    let of_all = "SELECT concat_ws(' ', level, cell, image_count) AS line FROM map_cells WHERE image_count > 0 ORDER BY 1";
    let counted = "SELECT concat_ws(' ', level, map_cell >> 2 * (24 - level), count(*)) AS line FROM images, unnest(ARRAY[4, 8, 12, 16]) AS level \
        WHERE map_cell IS NOT NULL GROUP BY level, map_cell >> 2 * (24 - level) ORDER BY 1";
    assert_eq!(cells(conn, of_all), cells(conn, counted));
    conn.batch_execute(include_str!("../../../migrations/2026-11-27-000015_map_kinds/up.sql")).unwrap();
    let after = cells(conn, KEPT_CELLS);
    assert_eq!(after, cells(conn, COUNTED_CELLS));
    assert_ne!(after, before);
    let without_places = |schema: Vec<String>| -> Vec<String> {
        schema.into_iter().map(|line| line.split(" #").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(without_places(dump(conn)), without_places(schema), "but for the order of columns");
}

#[test]
fn a_cluster_leads_to_its_images_and_no_others() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    fill(conn);
    let wanted: Query = "rating:>=2".parse().unwrap();
    for zoom in [0, 3, 8, 12, 17] {
        let area = Area { south_deg: 47.0, west_deg: 8.0, north_deg: 48.0, east_deg: 9.0 };
        let filter = Filter { query: wanted.clone(), ..Filter::default() };
        for cluster in list_clusters(conn, &filter, &View::of(&area, zoom)).unwrap() {
            let inside = Filter { query: Query::all([wanted.clone(), Term::Within(cluster.cell.area()).into()]), ..Filter::default() };
            let text = inside.query.to_string();
            assert_eq!(text.parse::<Query>().unwrap(), inside.query, "{text}");
            let cards = list_cards(conn, &inside, None, Direction::Older, 1000).unwrap();
            assert_eq!(cards.len() as i64, cluster.image_count, "{text} at zoom {zoom}");
        }
    }
}

#[test]
fn the_mark_of_a_cluster_has_a_picture_and_is_from_where_most_images_are() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    fill(conn);
    let area = Area { south_deg: 47.3, west_deg: 8.4, north_deg: 47.5, east_deg: 8.7 };
    let clusters = list_clusters(conn, &Filter::default(), &View::of(&area, 11)).unwrap();
    let crowded: Vec<_> = clusters.iter().filter(|cluster| cluster.image_count > 20).collect();
    assert!(!crowded.is_empty() && crowded.iter().all(|cluster| cluster.picture_key.is_some()), "{crowded:?}");
    // Some hundred lie in the city, some others in the same square far from it.
    let images = placed(conn);
    let europe = list_clusters(conn, &Filter::default(), &View::of(&WORLD, 2)).unwrap();
    let europe = europe.iter().max_by_key(|cluster| cluster.image_count).unwrap();
    let mark = images.iter().find(|image| image.id == europe.image.0).unwrap();
    assert!((mark.latitude_deg - 47.38).abs() < 1.5 && (mark.longitude_deg - 8.54).abs() < 1.5, "{mark:?}");
}

#[test]
fn countries_and_towns_are_counted_by_what_is_said_before_what_is_there() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    fill(conn);
    conn.batch_execute(
        "UPDATE images SET gps_country = 'Switzerland', gps_city = CASE WHEN id % 2 = 0 THEN 'Zürich' END WHERE id <= 20;
         UPDATE images SET city = 'Winterthur' WHERE id = 2;
         UPDATE images SET country = 'Elsewhere', city = 'Nowhere' WHERE id IN (4, 600);",
    )
    .unwrap();
    let town = |name: &str, image_count| TownCount { name: name.to_owned(), image_count };
    let country = |name: &str, image_count, towns: &[TownCount]| CountryCount { name: name.to_owned(), image_count, towns: towns.to_vec() };
    let places = list_places(conn, &Filter::default()).unwrap();
    let expected =
        [country("Switzerland", 19, &[town("Zürich", 8), town("Winterthur", 1)]), country("Elsewhere", 2, &[town("Nowhere", 2)])];
    assert_eq!(places, expected);
    // Kept counts and counted ones are the same, also after images went.
    conn.batch_execute("DELETE FROM images WHERE id IN (2, 6); UPDATE images SET gps_city = 'Bern' WHERE id = 8;").unwrap();
    let everything = Filter { query: "rating:>=-1".parse().unwrap(), ..Filter::default() };
    let kept = list_places(conn, &Filter::default()).unwrap();
    assert_eq!(kept, list_places(conn, &everything).unwrap());
    assert_eq!(kept[0], country("Switzerland", 17, &[town("Zürich", 6), town("Bern", 1)]));
    conn.batch_execute("UPDATE images SET city = 'Winterthur' WHERE id = 10").unwrap();
    let narrowed = Filter { query: "city:winterthur".parse().unwrap(), ..Filter::default() };
    assert_eq!(list_places(conn, &narrowed).unwrap(), [country("Switzerland", 1, &[town("Winterthur", 1)])]);
}
