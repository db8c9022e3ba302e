//! Names and dates of a query as what conditions compare with: ids, keys, patterns and stretches of time.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Text},
};

use super::{Condition, FilePattern, One};
use crate::models::{
    fold,
    query::{Bounds, Name, PartialDate},
    words,
};

/// Most names of tags that a pattern stands for.
const MOST_TAGS: i64 = 1000;
/// Longest name of a tag, in characters; `tag_levels` cuts there too.
const LONGEST_TAG: usize = 200;
/// Where a word may begin inside a file name.
const SEPARATORS: &str = " _-.,()[]+~#@&=";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Integer)]
    id: i32,
}

#[derive(QueryableByName)]
struct BigId {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct TagName {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Folders whose name or path is like `$1` or `$2`, and all below them; a vault's root is called by its vault's name.
const FOLDERS: &str = "WITH RECURSIVE below AS ( \
        SELECT f.id FROM folders AS f JOIN vaults AS v ON v.id = f.vault_id \
        WHERE fold(f.rel_path) LIKE ANY (ARRAY[$1, $2]) OR fold(CASE WHEN f.parent_id IS NULL THEN v.name ELSE f.name END) LIKE ANY (ARRAY[$1, $2]) \
        UNION SELECT f.id FROM folders AS f JOIN below ON f.parent_id = below.id) \
    SELECT id FROM below ORDER BY id";

/// Words as a tsquery, all of which must occur; `None` of no words.
pub(super) fn tsquery(words: &[String], ending: &str) -> Option<String> {
    let terms: Vec<String> = words.iter().map(|word| format!("'{word}'{ending}")).collect();
    Some(terms.join(" & ")).filter(|query| !query.is_empty())
}

pub(super) fn phrase(text: &str) -> Option<One> {
    let found = words(text);
    let folded = fold(text.trim());
    let says_more = found.len() != 1 || found[0] != folded;
    Some(One::Phrase(tsquery(&found, "")?, says_more.then(|| format!("%{}%", like(&folded, false)))))
}

/// A folded text as a pattern of LIKE in which only `*` means other than itself, and that only where it may.
fn like(folded: &str, has_stars: bool) -> String {
    let mut pattern = String::with_capacity(folded.len());
    for c in folded.chars() {
        match c {
            '*' if has_stars => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    pattern
}

/// The pattern of a name: the whole of it, or a part.
pub(super) fn within(name: &Name) -> String {
    let pattern = like(&fold(&name.text), true);
    if name.is_whole { pattern } else { format!("%{pattern}%") }
}

pub(super) fn find_ids(conn: &mut PgConnection, question: &'static str, name: &Name, make: fn(Vec<i32>) -> One) -> QueryResult<Condition> {
    let found: Vec<Id> = sql_query(question).bind::<Text, _>(within(name)).load(conn)?;
    let ids: Vec<i32> = found.into_iter().map(|row| row.id).collect();
    Ok(if ids.is_empty() { Condition::Always(false) } else { Condition::One(make(ids)) })
}

pub(super) fn tags(conn: &mut PgConnection, name: &Name) -> QueryResult<Condition> {
    let folded: String = fold(&name.text).chars().take(LONGEST_TAG).collect();
    if !folded.contains('*') {
        // Programs that write `animal/dog` mean the same as those that write `animal|dog`.
        let levels = folded.replace('/', "|");
        let mut names = vec![folded];
        if levels != names[0] {
            names.push(levels);
        }
        return Ok(Condition::One(One::Tags(names)));
    }
    let found: Vec<TagName> = sql_query("SELECT name FROM tags WHERE name LIKE $1 AND image_count > 0 ORDER BY name LIMIT $2")
        .bind::<Text, _>(like(&folded, true))
        .bind::<BigInt, _>(MOST_TAGS)
        .load(conn)?;
    let names: Vec<String> = found.into_iter().map(|row| row.name).collect();
    Ok(if names.is_empty() { Condition::Always(false) } else { Condition::One(One::Tags(names)) })
}

/// Most labels that a pattern stands for.
const MOST_LABELS: i64 = 1000;

/// The labels of regions that are like `$1`: an index is skipped through from label to label.
const LABELS: &str = "WITH RECURSIVE labels AS ((SELECT r.label FROM regions AS r ORDER BY r.label LIMIT 1) \
    UNION ALL SELECT (SELECT r.label FROM regions AS r WHERE r.label > labels.label ORDER BY r.label LIMIT 1) \
    FROM labels WHERE labels.label IS NOT NULL) \
    SELECT label AS name FROM labels WHERE label IS NOT NULL AND fold(label) LIKE $1 ORDER BY label LIMIT $2";

/// Labels of regions that are like a pattern of LIKE.
pub(in crate::db) fn labels(conn: &mut PgConnection, pattern: String, most: i64) -> QueryResult<Vec<String>> {
    let found: Vec<TagName> = sql_query(LABELS).bind::<Text, _>(pattern).bind::<BigInt, _>(most).load(conn)?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

pub(super) fn shows(conn: &mut PgConnection, name: &Name) -> QueryResult<Condition> {
    let found = labels(conn, like(&fold(&name.text), true), MOST_LABELS)?;
    Ok(if found.is_empty() { Condition::Always(false) } else { Condition::One(One::Shows(found)) })
}

/// A column of places, and the question for its names like `$1` or `$2`: an index is skipped through from name to name.
pub(in crate::db) type PlaceColumn = (&'static str, &'static str);

macro_rules! place_column {
    ($said:literal, $derived:literal) => {
        (
            concat!("coalesce(i.", $said, ", i.", $derived, ")"),
            concat!(
                "WITH RECURSIVE names AS ((SELECT coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") AS name FROM images AS i \
                    WHERE coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") IS NOT NULL ORDER BY 1 LIMIT 1) \
                 UNION ALL SELECT (SELECT coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") FROM images AS i \
                    WHERE coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") > names.name ORDER BY 1 LIMIT 1) \
                 FROM names WHERE names.name IS NOT NULL) \
                 SELECT name FROM names WHERE name IS NOT NULL AND (fold(name) LIKE $1 OR fold(name) LIKE $2) LIMIT $3"
            ),
        )
    };
}

// What files and people say comes before what the coordinates are called.
pub(in crate::db) const CITY: PlaceColumn = place_column!("city", "gps_city");
pub(in crate::db) const STATE: PlaceColumn = place_column!("state", "gps_state");
pub(in crate::db) const COUNTRY: PlaceColumn = place_column!("country", "gps_country");

/// Names of a column that a word in them begins with, or that are the whole name.
pub(in crate::db) fn place_names(conn: &mut PgConnection, column: PlaceColumn, name: &Name, most: i64) -> QueryResult<Vec<String>> {
    let pattern = like(&fold(&name.text), true);
    let (beginning, inside) = if name.is_whole { (pattern.clone(), pattern) } else { (format!("{pattern}%"), format!("% {pattern}%")) };
    let found: Vec<TagName> = sql_query(column.1).bind::<Text, _>(beginning).bind::<Text, _>(inside).bind::<BigInt, _>(most).load(conn)?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

pub(super) fn places(conn: &mut PgConnection, name: &Name, columns: &[PlaceColumn]) -> QueryResult<Condition> {
    let mut found = Vec::new();
    for column in columns {
        let names = place_names(conn, *column, name, MOST_TAGS)?;
        if !names.is_empty() {
            found.push((column.0, names));
        }
    }
    let is_code =
        columns.contains(&COUNTRY) && (2..=3).contains(&name.text.len()) && name.text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let code = is_code.then(|| name.text.to_ascii_uppercase());
    Ok(if found.is_empty() && code.is_none() { Condition::Always(false) } else { Condition::One(One::Places(found, code)) })
}

pub(super) fn folders(conn: &mut PgConnection, name: &Name) -> QueryResult<Condition> {
    let folded = fold(name.text.trim_matches('/'));
    let pattern = like(&folded, true);
    let beginning = if name.is_whole || folded.contains('*') { pattern.clone() } else { format!("{pattern}%") };
    let found: Vec<BigId> = sql_query(FOLDERS).bind::<Text, _>(pattern).bind::<Text, _>(beginning).load(conn)?;
    let ids: Vec<i64> = found.into_iter().map(|row| row.id).collect();
    Ok(if ids.is_empty() { Condition::Always(false) } else { Condition::One(One::Folders(ids)) })
}

pub(super) fn file(name: &Name) -> FilePattern {
    let folded = fold(name.text.trim_start_matches('/'));
    let pattern = like(&folded, true);
    let is_path = folded.contains('/');
    let has_stars = folded.contains('*');
    let patterns = match (name.is_whole, has_stars, is_path) {
        // Without its extension a name is whole too.
        (true, _, _) => vec![pattern.clone(), format!("{pattern}.%")],
        (false, true, _) => vec![pattern],
        (false, false, true) => vec![format!("{pattern}%")],
        (false, false, false) => {
            let inside = SEPARATORS.chars().map(|separator| format!("%{}{pattern}%", like(&separator.to_string(), false)));
            std::iter::once(format!("{pattern}%")).chain(inside).collect()
        }
    };
    FilePattern { words: word_of_pattern(&folded), patterns, is_path }
}

/// The word of a pattern that the fewest names have, as far as that can be told from the word: the longest with a digit, else the
/// longest. Its pattern judges what it finds, and `img`, which every second name begins with, would be looked up for nothing.
/// Behind a `*` the first letters may be the end of a word.
fn word_of_pattern(folded: &str) -> Option<String> {
    let mut all = Vec::new();
    for (index, piece) in folded.split('*').enumerate() {
        let begins_inside = index > 0 && piece.starts_with(char::is_alphanumeric);
        all.extend(words(piece).into_iter().skip(usize::from(begins_inside)));
    }
    let rarest = all.into_iter().max_by_key(|word| (word.contains(|c: char| c.is_ascii_digit()), word.chars().count()));
    tsquery(rarest.as_slice(), ":*")
}

pub(super) fn date(bounds: &Bounds<PartialDate>) -> Option<One> {
    if let Some((first, after)) = bounds.stretch() {
        return Some(One::Stretch(first, after));
    }
    let Bounds::Is(date) = *bounds else { return None };
    match (date.year, date.month, date.day) {
        (None, None, None) => None,
        (None, Some(month), Some(day)) => i32::try_from(month * 100 + day).ok().map(One::MonthDay),
        _ => Some(One::Recurring(date)),
    }
}

/// Years as dates.
pub(super) fn years(bounds: Bounds<i64>) -> Bounds<PartialDate> {
    let date = |year: i64| PartialDate { year: i32::try_from(year).ok(), month: None, day: None };
    match bounds {
        Bounds::Is(year) => Bounds::Is(date(year)),
        Bounds::Above(year) => Bounds::Above(date(year)),
        Bounds::AtLeast(year) => Bounds::AtLeast(date(year)),
        Bounds::Below(year) => Bounds::Below(date(year)),
        Bounds::AtMost(year) => Bounds::AtMost(date(year)),
        Bounds::Between(low, high) => Bounds::Between(date(low), date(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_cannot_leave_its_quotes() {
        assert_eq!(tsquery(&words("Zoé's | lake:*"), ":*").as_deref(), Some("'zoe':* & 's':* & 'lake':*"));
        assert_eq!(tsquery(&words("' \\ & !"), ":*"), None);
    }

    #[test]
    fn only_a_star_means_other_than_itself() {
        assert_eq!(like("50%_a*\\", true), "50\\%\\_a%\\\\");
        assert_eq!(like("a*", false), "a*");
    }

    #[test]
    fn a_pattern_is_looked_up_by_its_rarest_word_that_every_name_has() {
        assert_eq!(word_of_pattern("img_12345*.cr2").as_deref(), Some("'12345':*"));
        assert_eq!(word_of_pattern("holiday_in.*").as_deref(), Some("'holiday':*"));
        assert_eq!(word_of_pattern("*1234").as_deref(), None);
        assert_eq!(word_of_pattern("*mg_12").as_deref(), Some("'12':*"));
    }

    #[test]
    fn a_single_word_in_quotes_needs_no_second_look() {
        assert_eq!(phrase("Zoé"), Some(One::Phrase("'zoe'".to_owned(), None)));
        assert_eq!(phrase("lake  a"), Some(One::Phrase("'lake' & 'a'".to_owned(), Some("%lake  a%".to_owned()))));
    }
}
