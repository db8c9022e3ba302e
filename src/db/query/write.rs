//! Conditions as SQL about `images AS i`: every value is bound, and each is written so that the index made for it serves.

use chrono::{Datelike, NaiveDate, NaiveTime};

use super::{Condition, FilePattern, One};
use crate::{
    db::sql::{Sql, Value},
    models::{
        edit::{ColorLabel, Pick},
        query::{Area, Bounds, EARTH_RADIUS_M, FileType, Has, Is, Near},
    },
};

impl Condition {
    /// Writes it, in parentheses where it needs them, about `images AS i`.
    pub(in crate::db) fn write(&self, sql: &mut Sql) {
        match self {
            Self::And(parts) => join(sql, parts, " AND "),
            Self::Or(parts) => join(sql, parts, " OR "),
            Self::Not(inner) => {
                sql.text("(");
                inner.write(sql);
                sql.text(") IS NOT TRUE");
            }
            Self::Always(holds) => _ = sql.text(if *holds { "true" } else { "false" }),
            Self::One(one) => {
                sql.text("(");
                one.write(sql);
                sql.text(")");
            }
        }
    }
}

fn join(sql: &mut Sql, parts: &[Condition], between: &'static str) {
    sql.text("(");
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            sql.text(between);
        }
        part.write(sql);
    }
    sql.text(")");
}

impl One {
    fn write(&self, sql: &mut Sql) {
        match self {
            Self::Words(query) => _ = sql.text("i.search_words @@ ").bind(Value::Text(query.clone())).text("::tsquery"),
            Self::Phrase(query, pattern) => {
                sql.text("i.search_words @@ ").bind(Value::Text(query.clone())).text("::tsquery");
                if let Some(pattern) = pattern {
                    write_phrase(sql, pattern);
                }
            }
            // Without an operator on the bare column the index of ratings does not serve.
            Self::Rating(bounds) => write_rating(sql, bounds),
            Self::Whole(column, bounds) => write_whole(sql, column, bounds),
            Self::Measured(column, bounds) => write_measured(sql, column, bounds),
            Self::Stretch(first, after) => {
                sql.text("true");
                for (sign, time) in [(" AND i.captured_at >= ", first), (" AND i.captured_at < ", after)] {
                    if let Some(time) = time {
                        sql.text(sign).bind(Value::Timestamp(*time));
                    }
                }
            }
            Self::MonthDay(number) => _ = sql.text("month_day(i.captured_at) = ").bind(Value::Integer(*number)),
            Self::Recurring(date) => {
                sql.text("true");
                if let Some(year) = date.year.and_then(|year| NaiveDate::from_ymd_opt(year, 1, 1)) {
                    sql.text(" AND i.captured_at >= ").bind(Value::Timestamp(year.and_time(NaiveTime::MIN)));
                    let next = NaiveDate::from_ymd_opt(year.year() + 1, 1, 1).unwrap_or(NaiveDate::MAX);
                    sql.text(" AND i.captured_at < ").bind(Value::Timestamp(next.and_time(NaiveTime::MIN)));
                }
                if let Some(month) = date.month.and_then(|month| i32::try_from(month).ok()) {
                    sql.text(" AND month_day(i.captured_at) / 100 = ").bind(Value::Integer(month));
                }
                if let Some(day) = date.day.and_then(|day| i32::try_from(day).ok()) {
                    sql.text(" AND month_day(i.captured_at) % 100 = ").bind(Value::Integer(day));
                }
            }
            Self::Month(bounds) => write_whole(sql, "month_day(i.captured_at) / 100", bounds),
            Self::Cameras(ids) => write_ids(sql, "i.camera_id", ids),
            Self::Lenses(ids) => write_ids(sql, "i.lens_id", ids),
            Self::Folders(ids) => _ = sql.text("i.folder_id = ANY(").bind(Value::BigInts(ids.clone())).text(")"),
            Self::Tags(names) => {
                sql.text("i.tag_names <> '{}' AND i.tag_names && ");
                sql.bind(Value::Texts(names.clone()));
            }
            Self::Shows(labels) => {
                sql.text(REGION).text(" AND r.label = ANY(").bind(Value::Texts(labels.clone())).text("))");
            }
            // An index knows which have a text at all.
            Self::Text(column, pattern) => {
                sql.text(column).text(" <> '' AND fold(").text(column).text(") LIKE ").bind(Value::Text(pattern.clone()));
            }
            Self::File(file) => file.write(sql),
            Self::Places(columns, code) => {
                sql.text("false");
                for (column, names) in columns {
                    sql.text(" OR ").text(column);
                    match names.as_slice() {
                        [name] => _ = sql.text(" = ").bind(Value::Text(name.clone())),
                        names => _ = sql.text(" = ANY(").bind(Value::Texts(names.to_vec())).text(")"),
                    }
                }
                if let Some(code) = code {
                    sql.text(" OR coalesce(i.country_code, i.gps_country_code) = ").bind(Value::Text(code.clone()));
                }
            }
            // The indexes leave out `none`.
            Self::Label(label) => {
                sql.text(if *label == ColorLabel::None { "" } else { "i.color_label <> 'none' AND " }).text("i.color_label = ");
                sql.bind(Value::Text(label.name().to_owned()));
            }
            Self::Pick(pick) => {
                sql.text(if *pick == Pick::None { "" } else { "i.pick <> 'none' AND " }).text("i.pick = ");
                sql.bind(Value::Text(pick.name().to_owned()));
            }
            Self::Type(file_type) => match file_type {
                FileType::Raw => _ = sql.text("i.has_raw"),
                FileType::Jpeg => _ = sql.text("i.has_jpeg"),
                FileType::Video => _ = sql.text("i.is_video"),
                FileType::Photo => _ = sql.text("NOT i.is_video"),
                FileType::Format(format) => {
                    sql.text("EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id AND f.format = ");
                    sql.bind(Value::Text(format.name().to_owned())).text(")");
                }
            },
            Self::Has(has) => _ = sql.text(has_sql(*has)),
            Self::Is(is) => _ = sql.text(is_sql(*is)),
            Self::Near(near) => write_near(sql, near),
            Self::Within(area) => write_within(sql, area),
        }
    }
}

/// A region of an image as it is now that nobody rejected, to be closed by a parenthesis.
const REGION: &str = "EXISTS (SELECT FROM regions AS r WHERE r.image_id = i.id AND r.decision IS DISTINCT FROM 'rejected' \
    AND (r.origin = 'person' OR r.decision IS NOT NULL OR r.picture_key = i.picture_key)";

fn has_sql(has: Has) -> &'static str {
    match has {
        Has::Gps => "i.latitude_deg IS NOT NULL",
        Has::Raw => "i.has_raw",
        Has::Jpeg => "i.has_jpeg",
        Has::Sidecar => "i.has_sidecar",
        Has::Title => "i.title <> ''",
        Has::Description => "i.description <> ''",
        Has::Tags => "i.tag_names <> '{}'",
        Has::Camera => "i.camera_id IS NOT NULL",
        Has::Lens => "i.lens_id IS NOT NULL",
        Has::Place => "i.city IS NOT NULL OR i.state IS NOT NULL OR i.country IS NOT NULL OR i.country_code IS NOT NULL",
        Has::Edits => "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id)",
        Has::Regions => {
            "EXISTS (SELECT FROM regions AS r WHERE r.image_id = i.id AND r.decision IS DISTINCT FROM 'rejected' \
             AND (r.origin = 'person' OR r.decision IS NOT NULL OR r.picture_key = i.picture_key))"
        }
    }
}

fn is_sql(is: Is) -> &'static str {
    match is {
        Is::Unrated => "i.rating IS NULL OR i.rating = 0",
        Is::Rated => "i.rating > 0",
        Is::Rejected => "i.rating = -1",
        Is::Picked => "i.pick <> 'none' AND i.pick = 'picked'",
        Is::Edited => "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id)",
        Is::Pending => {
            "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id AND e.state <> 'written' AND e.state IN ('pending', 'failed'))"
        }
        Is::Conflict => "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id AND e.state <> 'written' AND e.state = 'conflict')",
        Is::Missing => "i.is_missing",
        Is::Offline => "i.vault_id IN (SELECT v.id FROM vaults AS v WHERE v.offline_since IS NOT NULL)",
        Is::Video => "i.is_video",
        // The camera's own JPEG beside a RAW is an EXPORT too, but says the same software as the RAW, or none.
        Is::Final => {
            "EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id AND f.role IN ('EXPORT', 'DERIVATIVE') AND (f.role = 'DERIVATIVE' OR \
             f.facts->>'software' IS NOT NULL AND NOT EXISTS (SELECT FROM files AS o WHERE o.image_id = i.id AND o.role = 'ORIGINAL' \
             AND o.facts->>'software' = f.facts->>'software')))"
        }
        // Few contents are there twice, which the planner cannot know: each looks up its files, where a join would read all files.
        Is::Duplicate => {
            "i.id IN (SELECT f.image_id FROM (SELECT o.fingerprint FROM files AS o WHERE o.fingerprint IS NOT NULL AND o.role <> 'SIDECAR' \
             AND o.missing_since IS NULL AND o.image_id IS NOT NULL GROUP BY o.fingerprint HAVING count(*) > 1 OFFSET 0) AS c \
             CROSS JOIN LATERAL (SELECT f.image_id FROM files AS f WHERE f.fingerprint = c.fingerprint AND f.role <> 'SIDECAR' \
             AND f.missing_since IS NULL AND f.image_id IS NOT NULL OFFSET 0) AS f)"
        }
        Is::Broken => "i.id IN (SELECT f.image_id FROM files AS f WHERE f.error IS NOT NULL AND f.image_id IS NOT NULL)",
    }
}

fn write_phrase(sql: &mut Sql, pattern: &str) {
    sql.text(
        " AND (fold(concat_ws(E'\\n', i.title, i.description, array_to_string(i.keywords, E'\\n'), \
         array_to_string(i.hierarchical_keywords, E'\\n'), i.base_name, i.city, i.state, i.country, i.gps_city, i.gps_state, \
         i.gps_country)) LIKE ",
    );
    sql.bind(Value::Text(pattern.to_owned()));
    sql.text(" OR EXISTS (SELECT FROM folders AS f WHERE f.id = i.folder_id AND fold(f.rel_path) LIKE ");
    sql.bind(Value::Text(pattern.to_owned()));
    sql.text(") OR EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id AND fold(f.name) LIKE ");
    sql.bind(Value::Text(pattern.to_owned())).text("))");
}

/// Null counts as unrated. Where only stars can pass, the index of ratings serves.
fn write_rating(sql: &mut Sql, bounds: &Bounds<i64>) {
    let passes: Vec<i64> = (-1..=5).filter(|rating| bounds.hold(rating)).collect();
    match (passes.first(), passes.last()) {
        (Some(low), Some(5)) if *low > 0 => {
            sql.text("i.rating > 0 AND i.rating >= ").bind(Value::SmallInt(*low as i16));
        }
        (Some(low), Some(high)) if low == high && *low != 0 => {
            sql.text("i.rating <> 0 AND i.rating = ").bind(Value::SmallInt(*low as i16));
        }
        (Some(low), Some(high)) => {
            sql.text("coalesce(i.rating, 0) BETWEEN ").bind(Value::SmallInt(*low as i16));
            sql.text(" AND ").bind(Value::SmallInt(*high as i16));
        }
        _ => _ = sql.text("false"),
    }
}

fn write_whole(sql: &mut Sql, column: &'static str, bounds: &Bounds<i64>) {
    let mut compare = |sign: &'static str, value: i64| {
        sql.text(column).text(sign).bind(Value::BigInt(value));
    };
    match *bounds {
        Bounds::Is(value) => compare(" = ", value),
        Bounds::Above(value) => compare(" > ", value),
        Bounds::AtLeast(value) => compare(" >= ", value),
        Bounds::Below(value) => compare(" < ", value),
        Bounds::AtMost(value) => compare(" <= ", value),
        Bounds::Between(low, high) => {
            compare(" >= ", low);
            sql.text(" AND ").text(column).text(" <= ").bind(Value::BigInt(high));
        }
    }
}

fn write_measured(sql: &mut Sql, column: &'static str, bounds: &Bounds<f64>) {
    sql.text(column).text(" IS NOT NULL");
    let (low, high) = bounds.limits();
    for (sign, limit) in [(" >= ", low), (" <= ", high)] {
        if let Some(limit) = limit {
            sql.text(" AND ").text(column).text(sign).bind(Value::Double(limit));
        }
    }
}

fn write_ids(sql: &mut Sql, column: &'static str, ids: &[i32]) {
    match ids {
        // The planner follows an index in the order of the timeline for one value alone.
        [id] => _ = sql.text(column).text(" = ").bind(Value::Integer(*id)),
        ids => _ = sql.text(column).text(" = ANY(").bind(Value::Integers(ids.to_vec())).text(")"),
    }
}

/// A box, over the antimeridian where west is greater than east.
fn write_within(sql: &mut Sql, area: &Area) {
    sql.text("i.latitude_deg BETWEEN ").bind(Value::Double(area.south_deg)).text(" AND ").bind(Value::Double(area.north_deg));
    write_sides(sql, area.west_deg, area.east_deg);
}

fn write_sides(sql: &mut Sql, west: f64, east: f64) {
    let crosses = west > east;
    sql.text(" AND (i.longitude_deg >= ").bind(Value::Double(west));
    sql.text(if crosses { " OR i.longitude_deg <= " } else { " AND i.longitude_deg <= " }).bind(Value::Double(east)).text(")");
}

/// A box, which an index knows, and within it the circle.
fn write_near(sql: &mut Sql, near: &Near) {
    let (south, north, sides) = near.around();
    sql.text("i.latitude_deg BETWEEN ").bind(Value::Double(south)).text(" AND ").bind(Value::Double(north));
    if let Some((west, east)) = sides {
        write_sides(sql, west, east);
    }
    // `Near::distance_m`, compared without its arc sine.
    let share = (near.radius_m / (2.0 * EARTH_RADIUS_M)).min(std::f64::consts::FRAC_PI_2).sin().powi(2);
    sql.text(" AND power(sin(radians(i.latitude_deg - ").bind(Value::Double(near.latitude_deg));
    sql.text(") / 2), 2) + ").bind(Value::Double(near.latitude_deg.to_radians().cos()));
    sql.text(" * cos(radians(i.latitude_deg)) * power(sin(radians(i.longitude_deg - ").bind(Value::Double(near.longitude_deg));
    sql.text(") / 2), 2) <= ").bind(Value::Double(share));
}

impl FilePattern {
    fn write(&self, sql: &mut Sql) {
        if let Some(words) = &self.words {
            sql.text("i.search_words @@ ").bind(Value::Text(words.clone())).text("::tsquery AND ");
        }
        sql.text("EXISTS (SELECT FROM files AS f");
        if self.is_path {
            sql.text(
                " JOIN folders AS d ON d.id = f.folder_id WHERE f.image_id = i.id AND fold(concat_ws('/', nullif(d.rel_path, ''), f.name))",
            );
        } else {
            sql.text(" WHERE f.image_id = i.id AND fold(f.name)");
        }
        sql.text(" LIKE ANY(").bind(Value::Texts(self.patterns.clone())).text("))");
    }
}
