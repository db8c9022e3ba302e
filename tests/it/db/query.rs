//! The search language against the database: a table of queries, random queries over random libraries against a plain Rust
//! answer, and what hostile people type.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use chrono::{Datelike, NaiveDate, NaiveDateTime};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Double, Integer, Nullable, Text},
};
use hm::{
    db::{
        facets::facets,
        gallery::list_cards,
        suggest::{Suggestion, suggest},
        timeline::timeline,
    },
    models::{
        Direction, Filter, FolderId, ImageId, Query, fold,
        query::{Bounds, Completion, FileType, Has, Is, Name, Term},
        words,
    },
};
use proptest::test_runner::{Config, TestRunner};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::support::{
    TestDatabase,
    library::{folder, image, vault},
    queries,
};

/// An image, to be judged without SQL.
#[derive(Debug, Clone, Default)]
struct Known {
    name: String,
    captured_at: NaiveDateTime,
    camera: Option<String>,
    lens: Option<String>,
    rating: Option<i16>,
    has_raw: bool,
    has_jpeg: bool,
    has_sidecar: bool,
    is_video: bool,
    is_missing: bool,
    is_offline: bool,
    place: Option<(f64, f64)>,
    title: Option<String>,
    description: Option<String>,
    keywords: Vec<String>,
    levels: Vec<String>,
    iso: Option<i32>,
    f_number: Option<f64>,
    exposure_s: Option<f64>,
    focal_length_mm: Option<f64>,
    size_bytes: i64,
    size_px: Option<(i32, i32)>,
    city: Option<String>,
    country: Option<(&'static str, &'static str)>,
    /// What the coordinates are called: city, country, code.
    gps: Option<(&'static str, &'static str, &'static str)>,
    label: Option<&'static str>,
    pick: Option<&'static str>,
    /// State of an edit.
    edit: Option<&'static str>,
    /// Its first file has the content of every other twin's.
    is_twin: bool,
    /// What is seen in it.
    seen: Vec<&'static str>,
    /// Name, format, role, software, and whether it is broken.
    files: Vec<(String, &'static str, &'static str, Option<&'static str>, bool)>,
    /// Names from the vault's root down, the vault's name first.
    folders: Vec<String>,
}

impl Known {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), captured_at: at("2019-08-03 12:33:00"), has_jpeg: true, ..Self::default() }
    }

    fn file(mut self, name: &str, format: &'static str, role: &'static str, software: Option<&'static str>) -> Self {
        self.files.push((name.to_owned(), format, role, software, false));
        self
    }

    fn folder_path(&self) -> String {
        self.folders[1..].join("/")
    }

    /// What a scan files as its words.
    fn words(&self) -> BTreeSet<String> {
        let folder = self.folder_path();
        let texts = [self.title.as_deref(), self.description.as_deref(), Some(self.name.as_str()), Some(folder.as_str())];
        let names = self.files.iter().map(|file| file.0.as_str());
        let keywords = self.keywords.iter().chain(&self.levels).map(String::as_str);
        texts.into_iter().flatten().chain(names).chain(keywords).chain(self.place_names()).flat_map(words).collect()
    }

    fn place_names(&self) -> impl Iterator<Item = &str> {
        let said = self.city.as_deref().into_iter().chain(self.country.map(|country| country.0));
        said.chain(self.gps.into_iter().flat_map(|(city, country, _)| [city, country]))
    }

    /// Where it is said to be, or else where it is.
    fn city(&self) -> Option<&str> {
        self.city.as_deref().or(self.gps.map(|gps| gps.0))
    }

    fn country(&self) -> Option<(&'static str, &'static str)> {
        self.country.or(self.gps.map(|gps| (gps.1, gps.2)))
    }

    fn insert(&self, conn: &mut PgConnection, folder: FolderId) -> ImageId {
        let mut new = image(&self.name).at(&self.captured_at.to_string());
        for (name, format, role, ..) in &self.files {
            new = new.file(name, format, role);
        }
        (new.camera, new.lens, new.rating) = (self.camera.clone(), self.lens.clone(), self.rating);
        (new.has_raw, new.has_jpeg, new.is_video) = (self.has_raw, self.has_jpeg, self.is_video);
        new.words = self.words().into_iter().collect::<Vec<_>>().join(" ");
        let id = new.insert(conn, folder);
        sql_query(
            "UPDATE images SET latitude_deg = $2, longitude_deg = $3, title = $4, description = $5, keywords = $6, \
             hierarchical_keywords = $7, iso = $8, f_number = $9, exposure_s = $10, focal_length_mm = $11, total_size_bytes = $12, \
             width_px = $13, height_px = $14, has_sidecar = $15::int = 1, is_missing = $16::int = 1 WHERE id = $1",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Nullable<Double>, _>(self.place.map(|place| place.0))
        .bind::<Nullable<Double>, _>(self.place.map(|place| place.1))
        .bind::<Nullable<Text>, _>(self.title.as_deref())
        .bind::<Nullable<Text>, _>(self.description.as_deref())
        .bind::<Array<Text>, _>(&self.keywords)
        .bind::<Array<Text>, _>(&self.levels)
        .bind::<Nullable<Integer>, _>(self.iso)
        .bind::<Nullable<Double>, _>(self.f_number)
        .bind::<Nullable<Double>, _>(self.exposure_s)
        .bind::<Nullable<Double>, _>(self.focal_length_mm)
        .bind::<BigInt, _>(self.size_bytes)
        .bind::<Nullable<Integer>, _>(self.size_px.map(|size| size.0))
        .bind::<Nullable<Integer>, _>(self.size_px.map(|size| size.1))
        .bind::<Integer, _>(i32::from(self.has_sidecar))
        .bind::<Integer, _>(i32::from(self.is_missing))
        .execute(conn)
        .unwrap();
        sql_query(
            "UPDATE images SET city = $2, country = $3, country_code = $4, color_label = coalesce($5, 'none'), pick = coalesce($6, 'none'), \
             gps_city = $7, gps_country = $8, gps_country_code = $9 WHERE id = $1",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Nullable<Text>, _>(self.city.as_deref())
        .bind::<Nullable<Text>, _>(self.country.map(|country| country.0))
        .bind::<Nullable<Text>, _>(self.country.map(|country| country.1))
        .bind::<Nullable<Text>, _>(self.label)
        .bind::<Nullable<Text>, _>(self.pick)
        .bind::<Nullable<Text>, _>(self.gps.map(|gps| gps.0))
        .bind::<Nullable<Text>, _>(self.gps.map(|gps| gps.1))
        .bind::<Nullable<Text>, _>(self.gps.map(|gps| gps.2))
        .execute(conn)
        .unwrap();
        sql_query(
            "INSERT INTO image_edits (image_id, field, value, state, outside, reason) SELECT $1, 'rating', '3', state, \
             CASE WHEN state = 'conflict' THEN '4'::jsonb END, CASE WHEN state = 'failed' THEN 'read-only' END \
             FROM (SELECT $2 AS state) AS given WHERE state IS NOT NULL",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Nullable<Text>, _>(self.edit)
        .execute(conn)
        .unwrap();
        for label in &self.seen {
            sql_query(
                "INSERT INTO regions (image_id, picture_key, label, left_px, top_px, right_px, bottom_px, frame_width_px, frame_height_px, origin) \
                 VALUES ($1, '', $2, 0, 0, 1, 1, 4, 3, 'person')",
            )
            .bind::<BigInt, _>(id.0)
            .bind::<Text, _>(label)
            .execute(conn)
            .unwrap();
        }
        if self.is_twin {
            sql_query("UPDATE files SET fingerprint = '\\x07' WHERE image_id = $1 AND role = 'ORIGINAL'")
                .bind::<BigInt, _>(id.0)
                .execute(conn)
                .unwrap();
        }
        for (name, _, _, software, is_broken) in &self.files {
            sql_query(
                "UPDATE files SET facts = jsonb_strip_nulls(jsonb_build_object('software', $3::text)), \
                 error = CASE WHEN $4::int = 1 THEN 'cut off' END WHERE image_id = $1 AND name = $2",
            )
            .bind::<BigInt, _>(id.0)
            .bind::<Text, _>(name)
            .bind::<Nullable<Text>, _>(*software)
            .bind::<Integer, _>(i32::from(*is_broken))
            .execute(conn)
            .unwrap();
        }
        id
    }
}

fn at(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
}

/// The plain Rust answer.
fn passes(known: &Known, query: &Query) -> bool {
    match query {
        Query::And(parts) => parts.iter().all(|part| passes(known, part)),
        Query::Or(parts) => parts.iter().any(|part| passes(known, part)),
        Query::Not(inner) => !passes(known, inner),
        Query::Term(term) => holds(known, term),
    }
}

fn holds(known: &Known, term: &Term) -> bool {
    let filed = known.words();
    let whole = |bounds: &Bounds<i64>, value: Option<i64>| value.is_some_and(|value| bounds.hold(&value));
    let measured = |bounds: &Bounds<f64>, value: Option<f64>| {
        let (low, high) = bounds.limits();
        value.is_some_and(|value| low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high))
    };
    let day = known.captured_at.date();
    match term {
        Term::Words(text) => words(text).iter().all(|asked| filed.iter().any(|word| word.starts_with(asked))),
        Term::Phrase(text) => {
            let mut texts: Vec<String> = known.files.iter().map(|file| file.0.clone()).collect();
            texts.extend(known.keywords.iter().chain(&known.levels).cloned());
            texts.extend([known.folder_path(), known.name.clone()]);
            texts.extend(known.title.iter().chain(&known.description).cloned());
            texts.extend(known.place_names().map(str::to_owned));
            words(text).iter().all(|word| filed.contains(word)) && texts.iter().any(|found| fold(found).contains(&fold(text)))
        }
        Term::Rating(bounds) => bounds.hold(&i64::from(known.rating.unwrap_or(0))),
        Term::Iso(bounds) => whole(bounds, known.iso.map(i64::from)),
        Term::Size(bounds) => whole(bounds, Some(known.size_bytes)),
        Term::Width(bounds) => whole(bounds, known.size_px.map(|size| i64::from(size.0))),
        Term::Height(bounds) => whole(bounds, known.size_px.map(|size| i64::from(size.1))),
        Term::FNumber(bounds) => measured(bounds, known.f_number),
        Term::Exposure(bounds) => measured(bounds, known.exposure_s),
        Term::Focal(bounds) => measured(bounds, known.focal_length_mm),
        Term::Year(bounds) => bounds.hold(&i64::from(day.year())),
        Term::Month(bounds) => bounds.hold(&i64::from(day.month())),
        Term::Date(bounds) => {
            let first = |date: &hm::models::query::PartialDate| date.days().unwrap().0;
            let after = |date: &hm::models::query::PartialDate| date.days().unwrap().1;
            match bounds {
                Bounds::Is(date) => date.matches(day),
                Bounds::Above(date) => day >= after(date),
                Bounds::AtLeast(date) => day >= first(date),
                Bounds::Below(date) => day < first(date),
                Bounds::AtMost(date) => day < after(date),
                Bounds::Between(low, high) => first(low) <= day && day < after(high),
            }
        }
        Term::Camera(name) => known.camera.as_deref().is_some_and(|camera| is_like(camera, name, true)),
        Term::Lens(name) => known.lens.as_deref().is_some_and(|lens| is_like(lens, name, true)),
        Term::Shows(name) => known.seen.iter().any(|label| glob(&fold(&name.text), &fold(label))),
        // An order leaves nothing out; where nobody follows it, nothing passes.
        Term::Like(_) => false,
        Term::Title(name) => known.title.as_deref().is_some_and(|title| is_like(title, name, true)),
        Term::Description(name) => known.description.as_deref().is_some_and(|text| is_like(text, name, true)),
        Term::Tag(name) => {
            let asked = fold(&name.text);
            let alternative = if asked.contains('*') { asked.clone() } else { asked.replace('/', "|") };
            tags(known).iter().any(|tag| glob(&asked, tag) || glob(&alternative, tag))
        }
        Term::File(name) => known.files.iter().any(|file| is_file(&file.0, &known.folder_path(), name)),
        Term::Folder(name) => (0..known.folders.len()).any(|depth| {
            let path = known.folders[1..=depth].join("/");
            is_like(&known.folders[depth], name, false) || is_like(&path, name, false)
        }),
        Term::City(name) => known.city().is_some_and(|city| is_place(city, name)),
        Term::State(_) => false,
        Term::Country(name) => known.country().is_some_and(|country| is_country(country, name)),
        Term::Place(name) => {
            known.city().is_some_and(|city| is_place(city, name)) || known.country().is_some_and(|country| is_country(country, name))
        }
        Term::Label(labels) => labels.iter().any(|label| label.name() == known.label.unwrap_or("none")),
        Term::Pick(picks) => picks.iter().any(|pick| pick.name() == known.pick.unwrap_or("none")),
        Term::Type(types) => types.iter().any(|one| match one {
            FileType::Raw => known.has_raw,
            FileType::Jpeg => known.has_jpeg,
            FileType::Video => known.is_video,
            FileType::Photo => !known.is_video,
            FileType::Format(format) => known.files.iter().any(|file| file.1 == format.name()),
        }),
        Term::Has(all) => all.iter().any(|has| match has {
            Has::Gps => known.place.is_some(),
            Has::Raw => known.has_raw,
            Has::Jpeg => known.has_jpeg,
            Has::Sidecar => known.has_sidecar,
            Has::Title => known.title.is_some(),
            Has::Description => known.description.is_some(),
            Has::Tags => !known.keywords.is_empty() || !known.levels.is_empty(),
            Has::Camera => known.camera.is_some(),
            Has::Lens => known.lens.is_some(),
            Has::Place => known.city.is_some() || known.country.is_some(),
            Has::Edits => known.edit.is_some(),
            Has::Regions => !known.seen.is_empty(),
        }),
        Term::Is(all) => all.iter().any(|is| match is {
            Is::Unrated => known.rating.unwrap_or(0) == 0,
            Is::Rated => known.rating.unwrap_or(0) > 0,
            Is::Rejected => known.rating == Some(-1),
            Is::Picked => known.pick == Some("picked"),
            Is::Edited => known.edit.is_some(),
            Is::Pending => matches!(known.edit, Some("pending" | "failed")),
            Is::Conflict => known.edit == Some("conflict"),
            Is::Missing => known.is_missing,
            Is::Offline => known.is_offline,
            Is::Video => known.is_video,
            Is::Broken => known.files.iter().any(|file| file.4),
            Is::Duplicate => known.is_twin,
            Is::Final => known.files.iter().any(|(_, _, role, software, _)| {
                let says_the_same = known.files.iter().any(|other| other.2 == "ORIGINAL" && other.3 == *software);
                *role == "DERIVATIVE" || (*role == "EXPORT" && software.is_some() && !says_the_same)
            }),
        }),
        Term::Within(area) => known.place.is_some_and(|(latitude, longitude)| area.holds(latitude, longitude)),
        Term::Near(near) => known.place.is_some_and(|(latitude, longitude)| near.distance_m(latitude, longitude) <= near.radius_m),
    }
}

fn is_place(found: &str, name: &Name) -> bool {
    let (found, asked) = (fold(found), fold(&name.text));
    if name.is_whole { glob(&asked, &found) } else { glob(&format!("{asked}*"), &found) || glob(&format!("* {asked}*"), &found) }
}

fn is_country((country, code): (&str, &str), name: &Name) -> bool {
    is_place(country, name) || name.text.to_ascii_uppercase() == code
}

/// Every level of every keyword, by itself and with all above it.
fn tags(known: &Known) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for keyword in known.keywords.iter().chain(&known.levels) {
        let levels: Vec<&str> = keyword.split('|').collect();
        for depth in 0..levels.len() {
            all.insert(fold(levels[depth]));
            all.insert(fold(&levels[..=depth].join("|")));
        }
    }
    all
}

/// Whether a name is meant; without quotes a part of it, or (`anywhere` false) its beginning, is enough.
fn is_like(found: &str, name: &Name, anywhere: bool) -> bool {
    let (found, asked) = (fold(found), fold(&name.text));
    match (name.is_whole, anywhere) {
        (true, _) => glob(&asked, &found),
        (false, true) => glob(&format!("*{asked}*"), &found),
        (false, false) if asked.contains('*') => glob(&asked, &found),
        (false, false) => found.starts_with(&asked),
    }
}

fn is_file(found: &str, folder: &str, name: &Name) -> bool {
    let asked = fold(&name.text);
    let is_path = asked.contains('/');
    let found = if is_path { fold(&format!("{folder}/{found}")) } else { fold(found) };
    if name.is_whole {
        return glob(&asked, &found) || glob(&format!("{asked}.*"), &found);
    }
    if asked.contains('*') {
        return glob(&asked, &found);
    }
    let begins_inside = |(at, _): (usize, &str)| at > 0 && " _-.,()[]+~#@&=".contains(found[..at].chars().last().unwrap());
    found.starts_with(&asked) || (!is_path && found.match_indices(asked.as_str()).any(begins_inside))
}

/// `*` stands for any letters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text
            .strip_prefix(head)
            .is_some_and(|tail| (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| glob(rest, &tail[at..]))),
    }
}

fn found(conn: &mut PgConnection, query: Query) -> Vec<ImageId> {
    let filter = Filter { query, ..Filter::default() };
    list_cards(conn, &filter, None, Direction::Older, 1000).unwrap().into_iter().map(|card| card.id).collect()
}

struct Library {
    database: TestDatabase,
    images: Vec<(ImageId, Known)>,
}

/// Two vaults, the second offline; few values of everything, so that conditions meet. The seed is fixed.
fn random_library(count: usize) -> Library {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let mut random = SmallRng::seed_from_u64(7);
    let root = vault(conn, "photos", "/nowhere".as_ref());
    let outer = folder(conn, root, "outer");
    let inner = folder(conn, outer, "inner");
    let second = vault(conn, "Sécond", "/nowhere".as_ref());
    let other = folder(conn, second, "other");
    sql_query("UPDATE vaults SET offline_since = now(), offline_reason = 'unplugged' WHERE name = 'Sécond'").execute(conn).unwrap();
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let folders = [
        (root, names(&["photos"])),
        (outer, names(&["photos", "outer"])),
        (inner, names(&["photos", "outer", "inner"])),
        (other, names(&["Sécond", "other"])),
    ];
    let images = (0..count).map(|number| {
        let (folder, path) = &folders[random.random_range(0..folders.len())];
        let mut pick = |of: usize| random.random_range(0..of);
        let mut known = Known::named(&format!("IMG_{}", pick(20)));
        known.folders = path.clone();
        known.is_offline = path[0] == "Sécond";
        let (year, month, day) = (2018 + pick(2), 1 + pick(2), 1 + pick(3));
        known.captured_at = at(&format!("{year}-0{month}-0{day} 10:00:0{}", pick(3)));
        known.camera = [None, Some("Camera 0"), Some("Caméra 1"), Some("Nobody's 50%")][pick(4)].map(str::to_owned);
        known.lens = [None, Some("Lens 0"), Some("LENS 1")][pick(3)].map(str::to_owned);
        known.rating = [None, Some(-1), Some(0), Some(1), Some(3), Some(5)][pick(6)];
        (known.has_raw, known.has_jpeg, known.is_video) = (pick(2) == 0, pick(3) > 0, pick(10) == 0);
        (known.has_sidecar, known.is_missing) = (pick(4) == 0, pick(10) == 0);
        known.place = [None, Some((48.1, 11.5)), Some((48.11, 11.51)), Some((-17.0, -179.95)), Some((89.95, 170.0))][pick(5)];
        known.title = [None, Some("Lake Geneva"), Some("Lakeside"), Some("100 % ZOÉ")][pick(4)].map(str::to_owned);
        known.description = [None, Some("a_b, by Zoe\u{301}"), Some("aXb (x)")][pick(3)].map(str::to_owned);
        known.keywords = [vec![], vec!["dog"], vec!["zoé", "Trip"]][pick(3)].iter().map(|tag| (*tag).to_owned()).collect();
        known.levels = [vec![], vec![], vec!["Animal|Dog"], vec!["animal|cat|Zoé"]][pick(4)].iter().map(|tag| (*tag).to_owned()).collect();
        known.iso = [None, Some(100), Some(400), Some(6400)][pick(4)];
        known.f_number = [None, Some(1.4), Some(2.828), Some(4.0)][pick(4)];
        known.exposure_s = [None, Some(0.00399), Some(0.5), Some(30.0)][pick(4)];
        known.focal_length_mm = [None, Some(24.0), Some(35.0)][pick(3)];
        known.size_bytes = [0, 1000, 25_000_000][pick(3)];
        known.size_px = [None, Some((4000, 3000)), Some((6000, 4000))][pick(3)];
        known.seen = [vec![], vec![], vec!["dog"], vec!["Dog", "traffic light"]][pick(4)].clone();
        known.city = [None, None, Some("Zürich"), Some("New York")][pick(4)].map(str::to_owned);
        known.country = [None, Some(("Norway", "NO")), Some(("Switzerland", "CH"))][pick(3)];
        known.gps =
            [None, Some(("Zürich", "Switzerland", "CH")), Some(("York", "Norway", "NO"))][pick(3)].filter(|_| known.place.is_some());
        (known.label, known.pick) = ([None, Some("red"), Some("purple")][pick(3)], [None, Some("picked"), Some("pending")][pick(3)]);
        known.edit = [None, None, Some("pending"), Some("written"), Some("failed"), Some("conflict")][pick(6)];
        known = known.file(&format!("IMG_{number}.CR2"), "cr2", "ORIGINAL", [None, Some("Firmware 1")][pick(2)]);
        for (chance, name, format, role, software) in [
            (pick(2), format!("Img_{number}.jpg"), "jpeg", "EXPORT", Some("Firmware 1")),
            (pick(4), format!("IMG_{number}-edit (é).jpg"), "jpeg", "DERIVATIVE", None),
            (pick(5), format!("IMG_{number}.heic"), "heif", "EXPORT", Some("darktable 4")),
        ] {
            if chance == 0 {
                known = known.file(&name, format, role, software);
            }
        }
        known.files[0].4 = pick(9) == 0;
        known.is_twin = pick(9) == 0;
        (known.insert(conn, *folder), known)
    });
    let images = images.collect();
    Library { database, images }
}

#[test]
fn random_queries_find_what_plain_rust_finds_and_their_negations_the_rest() {
    let library = random_library(160);
    let conn = RefCell::new(library.database.connection());
    let expected = |query: &Query| -> BTreeSet<ImageId> {
        library.images.iter().filter(|(_, known)| passes(known, query)).map(|(id, _)| *id).collect()
    };
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let (some, all) = (Cell::new(0), Cell::new(0));
    let run = runner.run(&queries::query(), |query| {
        let conn = &mut *conn.borrow_mut();
        let text = query.to_string();
        let wanted = expected(&query);
        let answer: BTreeSet<ImageId> = found(conn, query.clone()).into_iter().collect();
        proptest::prop_assert_eq!(&answer, &wanted, "{}", text);
        let rest: BTreeSet<ImageId> = found(conn, Query::Not(Box::new(query.clone()))).into_iter().collect();
        proptest::prop_assert!(answer.is_disjoint(&rest) && answer.len() + rest.len() == library.images.len(), "-({})", text);
        let filter = Filter { query, ..Filter::default() };
        let first: Vec<ImageId> = list_cards(conn, &filter, None, Direction::Older, 7).unwrap().into_iter().map(|card| card.id).collect();
        let whole: Vec<ImageId> =
            list_cards(conn, &filter, None, Direction::Older, 1000).unwrap().into_iter().map(|card| card.id).collect();
        proptest::prop_assert_eq!(&first, &whole[..whole.len().min(7)], "the first of {}", text);
        let counted: i32 = timeline(conn, &filter).unwrap().iter().map(|day| day.image_count).sum();
        proptest::prop_assert_eq!(counted as usize, wanted.len(), "the timeline of {}", text);
        all.set(all.get() + 1);
        some.set(some.get() + u32::from(!wanted.is_empty() && wanted.len() < library.images.len()));
        Ok(())
    });
    run.unwrap();
    let (some, all) = (some.get(), all.get());
    assert!(some * 2 > all, "only {some} of {all} queries find some images and not all");
}

#[test]
fn facets_within_a_search_count_what_it_finds() {
    let library = random_library(160);
    let conn = &mut library.database.connection();
    for text in ["rating:>=1", "-camera:camera", "(type:raw OR is:video) has:lens", "tag:animal", "date:2018 -has:gps", "is:final"] {
        let query: Query = text.parse().unwrap();
        let wanted = library.images.iter().filter(|(_, known)| passes(known, &query));
        let with_camera = wanted.filter(|(_, known)| known.camera.is_some()).count();
        let counted = facets(conn, &Filter { query, ..Filter::default() }).unwrap();
        assert_eq!(counted.cameras.iter().map(|camera| camera.count).sum::<i64>(), with_camera as i64, "{text}");
    }
}

/// The library of the table: what each image is shows in its name.
fn small_library(conn: &mut PgConnection) -> Vec<(ImageId, String)> {
    let root = vault(conn, "Family", "/nowhere".as_ref());
    let raw = folder(conn, root, "RAW");
    let year = folder(conn, raw, "2019");
    let trip = folder(conn, root, "Lake trip (été)");
    let at_christmas = |year: i32| NaiveDate::from_ymd_opt(year, 12, 25).unwrap().and_hms_opt(18, 0, 0).unwrap();
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut images = Vec::new();
    let mut add = |mut known: Known, folder, path: &[&str]| {
        known.folders = names(path);
        images.push((known.insert(conn, folder), known.name.clone()));
    };
    let mut vehicle = Known::named("car").file("DSC 0001.CR2", "cr2", "ORIGINAL", Some("Firmware"));
    (vehicle.camera, vehicle.lens, vehicle.rating) = (Some("Canon EOS R5".into()), Some("RF 24-70mm F2.8".into()), Some(4));
    (vehicle.has_raw, vehicle.iso, vehicle.f_number, vehicle.exposure_s) = (true, Some(3200), Some(2.8), Some(0.004));
    (vehicle.keywords, vehicle.levels) = (names(&["vehicle", "b/w"]), names(&["vehicle|car|Zoé's"]));
    vehicle.place = Some((43.18, -89.28));
    vehicle.size_bytes = 25_000_000;
    add(vehicle, year, &["Family", "RAW", "2019"]);
    let mut second = Known::named("r50").file("DSC_0002.jpg", "jpeg", "ORIGINAL", None);
    (second.camera, second.rating, second.captured_at) = (Some("Canon EOS R50".into()), Some(3), at_christmas(2019));
    (second.city, second.country, second.label) = (Some("New York".into()), Some(("United States", "US")), Some("red"));
    (second.pick, second.edit) = (Some("picked"), Some("conflict"));
    (second.title, second.place) = (Some("Lake Geneva at dawn".into()), Some((43.20, -89.30)));
    add(second, trip, &["Family", "Lake trip (été)"]);
    let mut third = Known::named("film").file("scan.tif", "tiff", "ORIGINAL", None).file("scan-edit.jpg", "jpeg", "DERIVATIVE", None);
    (third.captured_at, third.description, third.rating) = (at_christmas(2021), Some("geneva, a lake".into()), Some(-1));
    add(third, trip, &["Family", "Lake trip (été)"]);
    let mut fourth = Known::named("clip").file("MOV_1.mov", "mov", "ORIGINAL", None);
    (fourth.is_video, fourth.has_jpeg, fourth.is_missing, fourth.captured_at) = (true, false, true, at("2021-06-30 23:59:59"));
    add(fourth, raw, &["Family", "RAW"]);
    images
}

#[test]
fn queries_find_what_they_say() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let images = small_library(conn);
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("", "film r50 clip car"),
        ("lake", "film r50"),
        ("geneva lake", "film r50"),
        ("\"lake geneva\"", "r50"),
        ("\"Geneva, a\"", "film"),
        ("\"lak\"", ""),
        ("LAK", "film r50"),
        ("ete", "film r50"),
        ("lake -dawn", "film"),
        ("-lake", "clip car"),
        ("dawn OR car", "r50 car"),
        ("lake (dawn | scan) rating:>=0", "r50"),
        ("rating:>=3", "r50 car"),
        ("rating:4", "car"),
        ("rating:3..5 -rating:4", "r50"),
        ("rating:0", "clip"),
        ("rating:<0", "film"),
        ("is:rejected", "film"),
        ("is:unrated", "clip"),
        ("is:unrated|rejected", "film clip"),
        ("is:missing", "clip"),
        ("is:final", "film"),
        ("camera:\"Canon EOS R5\"", "car"),
        ("camera:r5", "r50 car"),
        ("camera:canon*r5", "r50 car"),
        ("camera:\"c*r5\"", "car"),
        ("-camera:canon", "film clip"),
        ("lens:24-70", "car"),
        ("date:2019", "r50 car"),
        ("date:2019-08", "car"),
        ("date:2019-08-03", "car"),
        ("date:2019-12..2021-06", "r50 clip"),
        ("date:>2020", "film clip"),
        ("date:>=2019-12-25", "film r50 clip"),
        ("date:<=2019-12-25", "r50 car"),
        ("date:<2019-12-25", "car"),
        ("date:*-12-25", "film r50"),
        ("date:*-12", "film r50"),
        ("date:2019-*-25", "r50"),
        ("year:2020..2021 month:6", "clip"),
        ("folder:RAW", "clip car"),
        ("folder:raw/2019", "car"),
        ("folder:20", "car"),
        ("folder:\"2019\"", "car"),
        ("folder:\"201\"", ""),
        ("folder:\"Lake trip (ete)\"", "film r50"),
        ("folder:family", "film r50 clip car"),
        ("file:dsc", "r50 car"),
        ("file:0001", "car"),
        ("file:001", ""),
        ("file:*001*", "car"),
        ("file:\"DSC 0001\"", "car"),
        ("file:RAW/2019/dsc", "car"),
        ("file:*.tif", "film"),
        ("type:raw", "car"),
        ("type:video", "clip"),
        ("type:tiff|mov", "film clip"),
        ("-type:photo", "clip"),
        ("has:gps", "r50 car"),
        ("has:title|description", "film r50"),
        ("-has:camera", "film clip"),
        ("tag:vehicle", "car"),
        ("tag:VEHICLE|car", "car"),
        ("tag:car", "car"),
        ("tag:zoe's", "car"),
        ("tag:veh", ""),
        ("tag:veh*", "car"),
        ("tag:b/w", "car"),
        ("tag:vehicle/car", "car"),
        ("-tag:vehicle lake", "film r50"),
        ("near:43.18,-89.28,1km", "car"),
        ("near:43.18,-89.28,5km", "r50 car"),
        ("near:43.18,-89.28,2mi", "r50 car"),
        ("iso:>=3200 f:<4 exposure:1/250 size:>20MB", "car"),
        ("f:<2.8", ""),
        ("city:york", "r50"),
        ("city:ork", ""),
        ("city:\"new york\"", "r50"),
        ("country:us", "r50"),
        ("place:states label:red|blue pick:picked", "r50"),
        ("-label:none", "r50"),
        ("is:conflict", "r50"),
        ("is:edited -is:pending", "r50"),
        ("has:edits", "r50"),
        ("title:geneva", "r50"),
        ("title:\"geneva\"", ""),
        ("description:\"*lake\"", "film"),
    ] {
        let ids = found(conn, text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
        let in_order = [2, 1, 3, 0].map(|index: usize| &images[index]);
        let names: Vec<&str> = in_order.into_iter().filter(|(id, _)| ids.contains(id)).map(|(_, name)| name.as_str()).collect();
        if names.join(" ") != expected {
            wrong.push(format!("{text} finds `{}`, not `{expected}`", names.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_search_narrows_beside_the_other_keys_of_an_address() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let images = small_library(conn);
    let pairs = [("year", "2019"), ("camera", "Canon EOS R50"), ("q", "lake OR vehicle")];
    let filter = Filter::from_pairs(pairs).unwrap();
    let ids: Vec<ImageId> = list_cards(conn, &filter, None, Direction::Older, 10).unwrap().into_iter().map(|card| card.id).collect();
    assert_eq!(ids, [images[1].0]);
    let as_query = found(conn, filter.to_query(None));
    assert_eq!(as_query, ids);
}

#[test]
fn hostile_words_find_nothing_and_break_nothing() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let images = small_library(conn);
    for hostile in [
        "'; DROP TABLE images; --",
        "\"' OR 1=1 --\"",
        "camera:\"x' OR 'a'='a\"",
        "tag:\"{a,b}\"",
        "tag:'}",
        "file:\"$1\\\\\"",
        "folder:%",
        "title:_______",
        "title:\\",
        "\\x00 $1 ? :name %s",
        "lens:\"*****************************************a\"",
    ] {
        let Ok(query) = hostile.parse::<Query>() else { continue };
        assert!(found(conn, query).is_empty(), "{hostile}");
    }
    let long = format!("camera:\"{}\" OR file:\"{}\" OR tag:\"{}\"", "x*".repeat(300), "a/".repeat(300), "é".repeat(600));
    assert!(found(conn, long.parse().unwrap()).is_empty());
    let deep = format!("{}lake{}", "(".repeat(20), ")".repeat(20));
    assert_eq!(found(conn, deep.parse().unwrap()).len(), 2);
    let wide = vec!["-camera:canon"; 60].join(" OR ");
    assert_eq!(found(conn, wide.parse().unwrap()).len(), 2);
    assert_eq!(found(conn, Query::default()).len(), images.len());
}

#[test]
fn the_database_folds_names_as_the_program_does() {
    #[derive(QueryableByName)]
    struct Folded {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    for text in [
        "",
        "IMG_1.JPG",
        "Zoé",
        "ZOE\u{301}",
        "Ørsted ÆŒ Straße ŁÓDŹ",
        "ΑΘΉΝΑΣ",
        "İstanbul ışık",
        "Привет Ёж",
        "हिन्दी",
        "서울 \u{1112}\u{1161}\u{11ab}",
        "Ångström",
        "Ⅷ ﬁ ²",
    ] {
        let folded: Folded = sql_query("SELECT fold($1) AS text").bind::<Text, _>(text).get_result(conn).unwrap();
        assert_eq!(folded.text, fold(text), "{text}");
    }
}

#[test]
fn tags_are_counted_whatever_happens_to_images() {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    small_library(conn);
    let mut lines = || -> Vec<String> {
        let rows: Vec<Line> =
            sql_query("SELECT name || ' ' || image_count AS line FROM tags WHERE image_count > 0 ORDER BY name").load(conn).unwrap();
        rows.into_iter().map(|row| row.line).collect()
    };
    assert_eq!(lines(), ["b/w 1", "car 1", "vehicle 1", "vehicle|car 1", "vehicle|car|zoe's 1", "zoe's 1"]);
    let conn = &mut database.connection();
    sql_query("UPDATE images SET keywords = '{Vehicle,x}', hierarchical_keywords = '{a||b}' WHERE base_name IN ('car', 'film')")
        .execute(conn)
        .unwrap();
    sql_query("UPDATE images SET rating = 1").execute(conn).unwrap();
    assert_eq!(lines(), ["a 2", "a| 2", "a||b 2", "b 2", "vehicle 2", "x 2"]);
    sql_query("DELETE FROM images WHERE base_name = 'car'").execute(conn).unwrap();
    let long = format!("UPDATE images SET keywords = ARRAY[repeat('é', 5000), '{}']", "l|".repeat(5000));
    sql_query(long).execute(conn).unwrap();
    let left = lines();
    assert!(left.contains(&"l|l 3".to_owned()) && left.iter().all(|line| line.chars().count() < 210), "{left:?}");
}

#[test]
fn an_image_has_a_camera_and_a_lens_that_there_are() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    small_library(conn);
    for refused in [
        "UPDATE images SET camera_id = 4711",
        "UPDATE images SET lens_id = 4711",
        "DELETE FROM cameras WHERE id IN (SELECT camera_id FROM images)",
        "DELETE FROM lenses WHERE id IN (SELECT lens_id FROM images)",
    ] {
        let error = sql_query(refused).execute(conn).unwrap_err().to_string();
        assert!(error.contains("foreign key"), "{refused}: {error}");
    }
}

#[test]
fn completions_count_within_the_rest() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    small_library(conn);
    let mut complete = |text: &str| -> Vec<(String, i64)> {
        let completion = Completion::at(text, text.chars().count());
        let filter = Filter { query: completion.rest, ..Filter::default() };
        let found: Vec<Suggestion> = suggest(conn, &filter, &completion.slot, 8).unwrap();
        assert!(found.iter().all(|one| !one.is_more), "{text}");
        found.into_iter().map(|one| (one.value, one.count)).collect()
    };
    let is = |all: &[(&str, i64)]| all.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect::<Vec<_>>();
    assert_eq!(complete("camera:eos"), is(&[("\"Canon EOS R5\"", 1), ("\"Canon EOS R50\"", 1)]));
    assert_eq!(complete("lake camera:eos"), is(&[("\"Canon EOS R50\"", 1)]));
    assert_eq!(complete("lens:"), is(&[("\"RF 24-70mm F2.8\"", 1)]));
    assert_eq!(complete("year:2"), is(&[("2021", 2), ("2019", 2)]));
    assert_eq!(complete("has:gps date:"), is(&[("2019", 2)]));
    assert_eq!(complete("rating:"), is(&[(">=4", 1), (">=3", 2), (">=2", 2), (">=1", 2), ("4", 1), ("3", 1), ("0", 1), ("-1", 1)]));
    assert_eq!(complete("type:"), is(&[("jpeg", 3), ("photo", 3), ("raw", 1), ("video", 1)]));
    assert_eq!(complete("lake is:"), is(&[("rated", 1), ("rejected", 1), ("picked", 1), ("edited", 1), ("conflict", 1), ("final", 1)]));
    assert_eq!(complete("tag:ve"), is(&[("vehicle", 1), ("vehicle|car", 1), ("vehicle|car|Zoé's", 1)]));
    assert_eq!(complete("rating:4 tag:c"), is(&[("car", 1), ("vehicle|car", 1), ("vehicle|car|Zoé's", 1)]));
    assert!(complete("lake tag:c").is_empty());
    assert_eq!(complete("folder:20"), is(&[("\"RAW/2019\"", 1)]));
    assert_eq!(complete("folder:raw"), is(&[("\"RAW\"", 2), ("\"RAW/2019\"", 1)]));
    assert!(complete("is:rejected vehi").is_empty());
    assert_eq!(complete("vehi"), is(&[("vehicle", 1), ("vehicle|car", 1), ("vehicle|car|Zoé's", 1)]));
}
