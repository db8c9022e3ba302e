//! The library at a glance: sums over everything, from counts that are kept and from indexes that hold what is summed.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Text},
};

use super::facets::{FacetValue, facets};
use crate::models::Filter;

/// What kind of image, each image one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A RAW and a JPEG.
    RawAndJpeg,
    /// A RAW without a JPEG.
    Raw,
    /// A JPEG without a RAW.
    Jpeg,
    /// A video.
    Video,
    /// HEIC, PNG, TIFF and their like.
    Other,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::RawAndJpeg, Self::Raw, Self::Jpeg, Self::Video, Self::Other];

    /// The word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::RawAndJpeg => "raw+jpeg",
            Self::Raw => "raw",
            Self::Jpeg => "jpeg",
            Self::Video => "video",
            Self::Other => "other",
        }
    }
}

/// Images, their files and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Images.
    pub images: i64,
    /// Files of them.
    pub files: i64,
    /// Bytes of those.
    pub bytes: i64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.images += other.images;
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// Everything summed up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LibrarySummary {
    /// All of it.
    pub total: Sum,
    /// Local years of capture, oldest first.
    pub years: Vec<(i32, Sum)>,
    /// Kinds that there are, in the order of [`Kind::ALL`].
    pub kinds: Vec<(Kind, Sum)>,
    /// Cameras by name, most images first.
    pub cameras: Vec<FacetValue<String>>,
    /// Images of which no camera is known.
    pub without_camera: i64,
    /// Lenses by name, most images first.
    pub lenses: Vec<FacetValue<String>>,
    /// Images of which no lens is known.
    pub without_lens: i64,
    /// Exact stars, best first; 0 for unrated, -1 for rejected.
    pub ratings: Vec<FacetValue<i8>>,
    /// Images with a place on the map.
    pub placed: i64,
    /// Images with at least one keyword.
    pub tagged: i64,
    /// Images gone from a vault that can be read.
    pub missing: i64,
    /// Images with a file that could not be read, whole or in part.
    pub broken: i64,
    /// Images with a file that is there more than once.
    pub duplicates: i64,
    /// Bytes that would be free if each such file were there once.
    pub duplicate_bytes: i64,
}

impl LibrarySummary {
    /// Images with this rating.
    pub fn rated(&self, passes: impl Fn(i8) -> bool) -> i64 {
        self.ratings.iter().filter(|rating| passes(rating.value)).map(|rating| rating.count).sum()
    }
}

#[derive(QueryableByName)]
struct YearAndKind {
    #[diesel(sql_type = Integer)]
    year: i32,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    images: i64,
    #[diesel(sql_type = BigInt)]
    files: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

#[derive(QueryableByName)]
struct Others {
    #[diesel(sql_type = BigInt)]
    tagged: i64,
    #[diesel(sql_type = BigInt)]
    missing: i64,
    #[diesel(sql_type = BigInt)]
    broken: i64,
    #[diesel(sql_type = BigInt)]
    duplicates: i64,
    #[diesel(sql_type = BigInt)]
    duplicate_bytes: i64,
}

/// Sums everything up. Reads two indexes whole: a good half second at a million images, so keep the answer for a while.
///
/// # Errors
/// When the database fails.
pub fn library_summary(conn: &mut PgConnection) -> QueryResult<LibrarySummary> {
    let counted = facets(conn, &Filter::default())?;
    let sums: Vec<YearAndKind> = sql_query(include_str!("library_years.sql")).load(conn)?;
    let others: Others = sql_query(include_str!("library_others.sql")).get_result(conn)?;
    let mut summary = LibrarySummary {
        placed: counted.gps.iter().filter(|gps| gps.value).map(|gps| gps.count).sum(),
        tagged: others.tagged,
        missing: others.missing,
        broken: others.broken,
        duplicates: others.duplicates,
        duplicate_bytes: others.duplicate_bytes,
        ..LibrarySummary::default()
    };
    let mut kinds = Kind::ALL.map(|kind| (kind, Sum::default()));
    for row in &sums {
        let sum = Sum { images: row.images, files: row.files, bytes: row.bytes };
        summary.total.add(sum);
        match summary.years.last_mut() {
            Some((year, of_year)) if *year == row.year => of_year.add(sum),
            _ => summary.years.push((row.year, sum)),
        }
        if let Some((_, of_kind)) = kinds.iter_mut().find(|(kind, _)| kind.name() == row.kind) {
            of_kind.add(sum);
        }
    }
    summary.kinds = kinds.into_iter().filter(|(_, sum)| sum.images > 0).collect();
    let known = |names: &[FacetValue<String>]| names.iter().map(|name| name.count).sum::<i64>();
    // Counted a moment apart: never less than nothing.
    summary.without_camera = (summary.total.images - known(&counted.cameras)).max(0);
    summary.without_lens = (summary.total.images - known(&counted.lenses)).max(0);
    (summary.cameras, summary.lenses, summary.ratings) = (counted.cameras, counted.lenses, counted.ratings);
    summary.ratings.retain(|rating| rating.count > 0);
    Ok(summary)
}
