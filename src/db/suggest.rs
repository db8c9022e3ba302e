//! Completions of the search: values that there are, with how many images each would leave within the rest of the query.
//!
//! Counting must keep up with typing, so it reads counts that are kept where the rest allows, and otherwise a bounded number of
//! images; what was cut there is said.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    sql_types::{Array, BigInt, SmallInt, Text},
};

use super::{
    query::{CITY, COUNTRY, Condition, One, PlaceColumn, STATE, labels, place_names},
    sql::{Sql, Value, Wanted},
};
use crate::models::{
    Filter,
    edit::{ColorLabel, Pick},
    fold,
    query::{FileType, Has, Is, Name, Slot},
};

/// Images that are counted at most where no kept counts serve.
const MOST_COUNTED: i64 = 50_000;
/// The same where every image's keywords are taken apart.
const MOST_TAGGED: i64 = 20_000;
/// Places, and things in pictures, that are counted at most.
const MOST_PLACES: i64 = 50;
/// Images counted at most below one folder, or in one place.
const MOST_IN_FOLDER: i64 = 10_000;

/// A value for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The key as it is printed.
    pub key: &'static str,
    /// The value as it stands in a query.
    pub value: String,
    /// What to show of it.
    pub shown: String,
    /// Images it would leave.
    pub count: i64,
    /// There may be more: not all were counted.
    pub is_more: bool,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    /// Images counted for all values together.
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// Lists up to `limit` values for what is being typed, most images first, counted within `filter`.
///
/// # Errors
/// When the database fails.
pub fn suggest(conn: &mut PgConnection, filter: &Filter, slot: &Slot, limit: usize) -> QueryResult<Vec<Suggestion>> {
    let wanted = Wanted::resolve(conn, filter)?;
    let mut asked = Asked { conn, wanted: &wanted, limit: i64::try_from(limit).unwrap_or(i64::MAX) };
    match slot {
        Slot::Value { key, typed } => asked.values(key, typed),
        Slot::Word(typed) => {
            if typed.chars().count() < 2 {
                return Ok(Vec::new());
            }
            let mut found = Vec::new();
            for key in ["tag", "shows", "camera", "lens", "folder", "city", "country"] {
                let mut some = Asked { conn: &mut *asked.conn, wanted: &wanted, limit: 3 };
                found.extend(some.values(key, typed)?);
            }
            Ok(found)
        }
    }
}

struct Asked<'a> {
    conn: &'a mut PgConnection,
    wanted: &'a Wanted,
    limit: i64,
}

impl Asked<'_> {
    fn values(&mut self, key: &'static str, typed: &str) -> QueryResult<Vec<Suggestion>> {
        match key {
            "camera" => self.names(key, typed, CAMERAS),
            "lens" => self.names(key, typed, LENSES),
            "tag" => self.tags(typed),
            "shows" => self.labels(typed),
            "folder" => self.folders(typed),
            "year" | "date" => self.years(key, typed),
            "rating" => self.ratings(typed),
            "has" => self.words(key, typed, Has::ALL.iter().map(|has| (has.word(), One::Has(*has)))),
            "is" => self.words(key, typed, Is::ALL.iter().map(|is| (is.word(), One::Is(*is)))),
            "label" => self.words(key, typed, ColorLabel::ALL.iter().map(|label| (label.name(), One::Label(*label)))),
            "pick" => self.words(key, typed, Pick::ALL.iter().map(|pick| (pick.name(), One::Pick(*pick)))),
            "city" => self.places(key, typed, CITY),
            "state" => self.places(key, typed, STATE),
            "country" => self.places(key, typed, COUNTRY),
            "type" => {
                let types = [FileType::Raw, FileType::Jpeg, FileType::Video, FileType::Photo];
                self.words(key, typed, types.into_iter().map(|one| (one.word(), One::Type(one))))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Begins a question to the images that pass, or to the counts kept of them; each row counts `n`.
    fn begin(&self, head: &str, most: i64) -> Sql {
        let mut sql = Sql::new(head);
        if self.wanted.is_counted() {
            sql.text(
                " FROM (SELECT nullif(camera_id, 0) AS camera_id, nullif(lens_id, 0) AS lens_id, rating, has_raw, has_jpeg, is_video, \
                 CASE WHEN has_gps THEN 0 END AS latitude_deg, image_count AS n FROM facet_counts WHERE image_count > 0) AS i WHERE true",
            );
            self.wanted.write(&mut sql);
        } else {
            self.bounded(&mut sql, most);
        }
        sql
    }

    fn bounded(&self, sql: &mut Sql, most: i64) {
        sql.text(" FROM (SELECT i.*, 1 AS n FROM images AS i WHERE true");
        self.wanted.write(sql);
        sql.text(" LIMIT ").bind(Value::BigInt(most)).text(") AS i WHERE true");
    }

    fn finish(&self, key: &'static str, counted: Vec<Counted>, most: i64, print: impl Fn(&str) -> String) -> Vec<Suggestion> {
        let is_more = |total| !self.wanted.is_counted() && total >= most;
        counted
            .into_iter()
            .map(|row| Suggestion { key, value: print(&row.value), is_more: is_more(row.total), count: row.count, shown: row.value })
            .collect()
    }

    fn names(&mut self, key: &'static str, typed: &str, [head, middle]: [&'static str; 2]) -> QueryResult<Vec<Suggestion>> {
        let mut sql = self.begin(head, MOST_COUNTED);
        sql.text(middle).bind(Value::Text(containing(typed)));
        sql.text(" ORDER BY c.count DESC, n.name LIMIT ").bind(Value::BigInt(self.limit));
        let counted = sql.query().load(self.conn)?;
        Ok(self.finish(key, counted, MOST_COUNTED, |name| Name { text: name.to_owned(), is_whole: true }.to_string()))
    }

    fn tags(&mut self, typed: &str) -> QueryResult<Vec<Suggestion>> {
        let is_all = self.wanted.days.is_none() && self.wanted.is_only_days();
        let mut sql = if is_all {
            Sql::new("SELECT t.shown AS value, t.image_count::bigint AS count, 0::bigint AS total FROM tags AS t WHERE t.image_count > 0")
        } else {
            let mut sql = Sql::new("WITH found AS MATERIALIZED (SELECT i.tag_names");
            self.bounded(&mut sql, MOST_TAGGED);
            sql.text(
                ") SELECT t.shown AS value, count(*) AS count, (SELECT count(*) FROM found) AS total \
                 FROM found AS i, unnest(i.tag_names) AS name JOIN tags AS t USING (name) WHERE true",
            );
            sql
        };
        // From the beginning of the tag or of one of its levels.
        sql.text(" AND (t.name LIKE ").bind(Value::Text(beginning(typed)));
        sql.text(" OR t.name LIKE ").bind(Value::Text(format!("%|{}", beginning(typed)))).text(")");
        sql.text(if is_all { "" } else { " GROUP BY t.name, t.shown" });
        sql.text(" ORDER BY count DESC, value LIMIT ").bind(Value::BigInt(self.limit));
        let counted: Vec<Counted> = sql.query().load(self.conn)?;
        let print = |name: &str| Name::quoted_where_needed(name).to_string();
        let mut found = self.finish("tag", counted, MOST_TAGGED, print);
        for one in &mut found {
            one.is_more &= !is_all;
        }
        Ok(found)
    }

    fn folders(&mut self, typed: &str) -> QueryResult<Vec<Suggestion>> {
        let mut sql = Sql::new(
            "SELECT f.rel_path AS value, c.count, c.count AS total FROM (SELECT id, tree, rel_path FROM folders WHERE parent_id IS NOT NULL AND (",
        );
        sql.text("fold(rel_path) LIKE ").bind(Value::Text(beginning(typed)));
        sql.text(" OR fold(name) LIKE ").bind(Value::Text(containing(typed)));
        sql.text(") ORDER BY nlevel(tree), rel_path LIMIT ").bind(Value::BigInt(self.limit));
        sql.text(") AS f, LATERAL (SELECT count(*) AS count FROM (SELECT FROM images AS i WHERE i.folder_id IN (SELECT d.id FROM folders AS d WHERE d.tree <@ f.tree)");
        self.wanted.write(&mut sql);
        sql.text(" LIMIT ").bind(Value::BigInt(MOST_IN_FOLDER)).text(") AS counted) AS c WHERE c.count > 0 ORDER BY f.rel_path");
        let counted: Vec<Counted> = sql.query().load(self.conn)?;
        let print = |path: &str| Name { text: path.to_owned(), is_whole: true }.to_string();
        let suggestion = |row: Counted| Suggestion {
            key: "folder",
            value: print(&row.value),
            is_more: row.count >= MOST_IN_FOLDER,
            count: row.count,
            shown: row.value,
        };
        Ok(counted.into_iter().map(suggestion).collect())
    }

    fn places(&mut self, key: &'static str, typed: &str, column: PlaceColumn) -> QueryResult<Vec<Suggestion>> {
        let names = place_names(self.conn, column, &Name { text: typed.to_owned(), is_whole: false }, MOST_PLACES)?;
        let mut sql = Sql::new("SELECT n.name AS value, c.count, c.count AS total FROM unnest(");
        sql.bind(Value::Texts(names)).text(") AS n (name), LATERAL (SELECT count(*) AS count FROM (SELECT FROM images AS i WHERE ");
        sql.text(column.0).text(" = n.name");
        self.wanted.write(&mut sql);
        sql.text(" LIMIT ")
            .bind(Value::BigInt(MOST_IN_FOLDER))
            .text(") AS counted) AS c WHERE c.count > 0 ORDER BY c.count DESC, n.name LIMIT ");
        sql.bind(Value::BigInt(self.limit));
        let counted: Vec<Counted> = sql.query().load(self.conn)?;
        let suggestion = |row: Counted| Suggestion {
            key,
            value: Name { text: row.value.clone(), is_whole: true }.to_string(),
            is_more: row.count >= MOST_IN_FOLDER,
            count: row.count,
            shown: row.value,
        };
        Ok(counted.into_iter().map(suggestion).collect())
    }

    /// What is found in pictures, each counted up to a bound.
    fn labels(&mut self, typed: &str) -> QueryResult<Vec<Suggestion>> {
        let names = labels(self.conn, beginning(typed), MOST_PLACES)?;
        let mut sql = Sql::new("SELECT n.name AS value, c.count, c.count AS total FROM unnest(");
        sql.bind(Value::Texts(names)).text(
            ") AS n (name), LATERAL (SELECT count(DISTINCT k.id) AS count FROM (SELECT i.id FROM regions AS r JOIN images AS i ON i.id = r.image_id \
             WHERE r.label = n.name AND r.decision IS DISTINCT FROM 'rejected' \
             AND (r.origin = 'person' OR r.decision IS NOT NULL OR r.picture_key = i.picture_key)",
        );
        self.wanted.write(&mut sql);
        sql.text(" LIMIT ").bind(Value::BigInt(MOST_IN_FOLDER)).text(") AS k) AS c WHERE c.count > 0 ORDER BY c.count DESC, n.name LIMIT ");
        sql.bind(Value::BigInt(self.limit));
        let counted: Vec<Counted> = sql.query().load(self.conn)?;
        let suggestion = |row: Counted| Suggestion {
            key: "shows",
            value: Name::quoted_where_needed(&row.value).to_string(),
            is_more: row.count >= MOST_IN_FOLDER,
            count: row.count,
            shown: row.value,
        };
        Ok(counted.into_iter().map(suggestion).collect())
    }

    fn years(&mut self, key: &'static str, typed: &str) -> QueryResult<Vec<Suggestion>> {
        const HEAD: &str = "SELECT value, count, (sum(count) OVER ())::bigint AS total FROM (";
        let mut sql = Sql::new(HEAD);
        let is_kept = self.wanted.is_only_days() && self.wanted.days.is_none();
        if is_kept {
            sql.text("SELECT to_char(day, 'YYYY') AS value, sum(image_count)::bigint AS count FROM timeline_days WHERE image_count > 0");
        } else {
            sql.text("SELECT to_char(i.day, 'YYYY') AS value, count(*) AS count");
            self.bounded(&mut sql, MOST_COUNTED);
        }
        sql.text(" GROUP BY 1) AS years WHERE value LIKE ").bind(Value::Text(beginning(typed)));
        sql.text(" ORDER BY value DESC LIMIT ").bind(Value::BigInt(self.limit));
        let counted: Vec<Counted> = sql.query().load(self.conn)?;
        let mut found = self.finish(key, counted, MOST_COUNTED, str::to_owned);
        for one in &mut found {
            one.is_more &= !is_kept;
        }
        Ok(found)
    }

    /// Stars and more, as people look for them, then unrated and rejected.
    fn ratings(&mut self, typed: &str) -> QueryResult<Vec<Suggestion>> {
        #[derive(QueryableByName)]
        struct Stars {
            #[diesel(sql_type = SmallInt)]
            rating: i16,
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let mut sql = self.begin("SELECT coalesce(i.rating, 0)::smallint AS rating, sum(i.n)::bigint AS count", MOST_COUNTED);
        sql.text(" GROUP BY 1");
        let stars: Vec<Stars> = sql.query().load(self.conn)?;
        let total: i64 = stars.iter().map(|row| row.count).sum();
        let count = |passes: &dyn Fn(i16) -> bool| stars.iter().filter(|row| passes(row.rating)).map(|row| row.count).sum::<i64>();
        let mut counted: Vec<Counted> = Vec::new();
        let mut add = |value: String, count| counted.push(Counted { value, count, total });
        for least in (1..=5).rev() {
            add(if least == 5 { "5".to_owned() } else { format!(">={least}") }, count(&|rating| rating >= least));
        }
        for exact in [4, 3, 2, 1, 0, -1] {
            add(exact.to_string(), count(&|rating| rating == exact));
        }
        counted.retain(|row| row.count > 0 && row.value.starts_with(typed));
        counted.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(self.finish("rating", counted, MOST_COUNTED, str::to_owned))
    }

    /// Words of a list, each counted; in one question for those that the kept counts know, and one for the others.
    fn words(&mut self, key: &'static str, typed: &str, all: impl Iterator<Item = (&'static str, One)>) -> QueryResult<Vec<Suggestion>> {
        #[derive(QueryableByName)]
        struct Counts {
            #[diesel(sql_type = Array<BigInt>)]
            counts: Vec<i64>,
            #[diesel(sql_type = BigInt)]
            total: i64,
        }
        let is_kept = |one: &One| self.wanted.is_counted() && Condition::One(one.clone()).is_counted();
        let typed = typed.to_lowercase();
        let (kept, others): (Vec<_>, Vec<_>) = all.filter(|(word, _)| word.starts_with(&typed)).partition(|(_, one)| is_kept(one));
        let mut found = Vec::new();
        for (words, are_kept) in [(kept, true), (others, false)] {
            if words.is_empty() {
                continue;
            }
            let mut sql = Sql::new("SELECT ARRAY[");
            for (index, (_, one)) in words.iter().enumerate() {
                sql.text(if index > 0 { ", " } else { "" }).text("coalesce(sum(i.n) FILTER (WHERE ");
                Condition::One(one.clone()).write(&mut sql);
                sql.text("), 0)::bigint");
            }
            sql.text("] AS counts, coalesce(sum(i.n), 0)::bigint AS total");
            if are_kept {
                sql.text(
                    " FROM (SELECT nullif(camera_id, 0) AS camera_id, nullif(lens_id, 0) AS lens_id, rating, has_raw, has_jpeg, is_video, \
                     CASE WHEN has_gps THEN 0 END AS latitude_deg, image_count AS n FROM facet_counts WHERE image_count > 0) AS i WHERE true",
                );
                self.wanted.write(&mut sql);
            } else {
                self.bounded(&mut sql, MOST_COUNTED);
            }
            let counts: Counts = sql.query().get_result(self.conn)?;
            let is_more = !are_kept && counts.total >= MOST_COUNTED;
            found.extend(words.iter().zip(counts.counts).map(|((word, _), count)| Suggestion {
                key,
                value: (*word).to_owned(),
                shown: (*word).to_owned(),
                count,
                is_more,
            }));
        }
        found.retain(|one| one.count > 0 || one.is_more);
        found.sort_by_key(|one| std::cmp::Reverse(one.count));
        found.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(found)
    }
}

const CAMERAS: [&str; 2] = [
    "SELECT n.name AS value, c.count, c.total FROM (SELECT i.camera_id AS id, sum(i.n)::bigint AS count, (sum(sum(i.n)) OVER ())::bigint AS total",
    " GROUP BY 1) AS c JOIN cameras AS n USING (id) WHERE fold(n.name) LIKE ",
];
const LENSES: [&str; 2] = [
    "SELECT n.name AS value, c.count, c.total FROM (SELECT i.lens_id AS id, sum(i.n)::bigint AS count, (sum(sum(i.n)) OVER ())::bigint AS total",
    " GROUP BY 1) AS c JOIN lenses AS n USING (id) WHERE fold(n.name) LIKE ",
];

/// A typed text as a pattern that begins with it.
fn beginning(typed: &str) -> String {
    let mut pattern = String::new();
    for c in fold(typed).chars().filter(|c| *c != '*') {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn containing(typed: &str) -> String {
    format!("%{}", beginning(typed))
}
