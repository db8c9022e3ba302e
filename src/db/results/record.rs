//! What workers answer, written down: each network's part of a batch whole or not at all, and twice is as good as once.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Float, Integer, Nullable, Text},
};
use pgvector::HalfVector;

use super::judge::{Kept, RegionRow, judge};
use crate::{
    db::{
        columns::PlainText,
        networks::{self, note_dimensions},
        schema::regions,
        sql::{Sql, Value},
        vectors::find_vectors,
    },
    models::{
        ImageId, NetworkId, PictureKey,
        task::{Failure, Found, Lane, Outcome, TaskKind},
        vision::BoundingBox,
    },
};

/// Rows of regions in one statement.
const ROWS_A_STATEMENT: usize = 1_000;
/// Longest error that is kept, in characters.
const LONGEST_ERROR: usize = 2_000;
/// From how much common area on two boxes of one label are the same thing, as intersection over union.
const SAME_THING: f32 = 0.7;

/// What became of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Images that have the network's answer now.
    pub answered: usize,
    /// Images that the network could not answer for.
    pub failed: usize,
    /// Answers that changed nothing: given before, about a picture that is no longer the image's, or of a network that is not known.
    pub dropped: usize,
}

/// An outcome in hand.
struct Judged<'a> {
    key: &'a PictureKey,
    attempts: i32,
    answer: Result<Kept, String>,
}

/// Records outcomes: the last word of a worker on each task, failures that will not be tried again among them.
///
/// One transaction for each network; when it fails, those before it are written, and all may be recorded again.
///
/// # Errors
/// When the database fails; that an image or a network went away is no failure.
pub fn record(conn: &mut PgConnection, outcomes: &[Outcome]) -> QueryResult<Recorded> {
    let mut lanes: BTreeMap<&Lane, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        lanes.entry(&outcome.task.lane).or_default().push(outcome);
    }
    let mut all = Recorded::default();
    for (lane, outcomes) in lanes {
        let recorded = conn.transaction(|conn| record_lane(conn, lane, &outcomes))?;
        all.answered += recorded.answered;
        all.failed += recorded.failed;
        all.dropped += outcomes.len() - recorded.answered - recorded.failed;
    }
    Ok(all)
}

fn record_lane(conn: &mut PgConnection, lane: &Lane, outcomes: &[&Outcome]) -> QueryResult<Recorded> {
    let mut recorded = Recorded::default();
    let Some(network) = networks::find(conn, lane.kind, &lane.network)? else { return Ok(recorded) };
    if lane.kind == TaskKind::Embed && !find_vectors(conn)?.is_ready() {
        return Ok(recorded);
    }
    let mut dimensions = network.card.dimensions;
    if dimensions.is_none()
        && let Some(first) = outcomes.iter().find_map(|outcome| first_dimensions(lane.kind, outcome))
    {
        note_dimensions(conn, network.id, first as i32)?;
        dimensions = networks::find(conn, lane.kind, &lane.network)?.and_then(|network| network.card.dimensions);
    }
    let current = current_keys(conn, outcomes)?;
    let mut judged: HashMap<ImageId, Judged<'_>> = HashMap::new();
    for outcome in outcomes {
        let task = &outcome.task;
        let is_worse = outcome.answer.is_err() && judged.get(&task.image).is_some_and(|other| other.answer.is_ok());
        if current.get(&task.image) != Some(&task.picture) || is_worse {
            continue;
        }
        let answer = match &outcome.answer {
            Ok(answer) => judge(lane.kind, dimensions, answer),
            Err(Failure { error, .. }) => Err(error.clone()),
        };
        let attempts = i32::try_from(task.attempt).unwrap_or(i32::MAX).saturating_add(1);
        judged.insert(task.image, Judged { key: &task.picture, attempts, answer });
    }
    let changed = upsert_results(conn, network.id, &judged)?;
    judged.retain(|image, _| changed.contains(image));
    recorded.answered = judged.values().filter(|judged| judged.answer.is_ok()).count();
    recorded.failed = judged.len() - recorded.answered;
    match lane.kind {
        TaskKind::Embed => write_vectors(conn, network.id, &judged)?,
        TaskKind::Detect => write_regions(conn, network.id, &judged)?,
    }
    Ok(recorded)
}

/// How many numbers a good first vector has.
fn first_dimensions(kind: TaskKind, outcome: &Outcome) -> Option<usize> {
    match outcome.answer.as_ref().map(|answer| judge(kind, None, answer)) {
        Ok(Ok(Kept::Vector(vector))) => Some(vector.len()),
        _ => None,
    }
}

/// The state of the pictures of the images, none of which goes away before the end of the transaction; images that are about to go are left
/// out rather than waited for.
fn current_keys(conn: &mut PgConnection, outcomes: &[&Outcome]) -> QueryResult<HashMap<ImageId, PictureKey>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: ImageId,
        #[diesel(sql_type = Nullable<Text>)]
        picture_key: Option<String>,
    }
    let images: Vec<i64> = outcomes.iter().map(|outcome| outcome.task.image.0).collect();
    let question = "SELECT id, picture_key FROM images WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE SKIP LOCKED";
    let rows: Vec<Row> = sql_query(question).bind::<Array<BigInt>, _>(images).load(conn)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id, row.picture_key?.parse().ok()?))).collect())
}

/// Writes which images have been seen, and gives those for which that is news: not the second time an answer comes, and a failure never takes
/// the place of an answer.
fn upsert_results(conn: &mut PgConnection, network: NetworkId, judged: &HashMap<ImageId, Judged<'_>>) -> QueryResult<HashSet<ImageId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        image_id: ImageId,
    }
    let mut rows: Vec<(&ImageId, &Judged<'_>)> = judged.iter().collect();
    rows.sort_unstable_by_key(|(image, _)| **image);
    let error = |judged: &Judged<'_>| judged.answer.as_ref().err().map(|error| plain_error(error));
    let changed: Vec<Row> = sql_query(
        "INSERT INTO image_results AS r (network_id, image_id, picture_key, error, attempts) \
         SELECT $1, * FROM unnest($2, $3, $4, $5) \
         ON CONFLICT (network_id, image_id) DO UPDATE \
            SET picture_key = excluded.picture_key, error = excluded.error, attempts = excluded.attempts, done_at = now() \
            WHERE r.picture_key <> excluded.picture_key OR r.done_at IS NULL OR r.error IS NOT NULL \
         RETURNING image_id",
    )
    .bind::<BigInt, _>(network)
    .bind::<Array<BigInt>, _>(rows.iter().map(|(image, _)| image.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|(_, judged)| judged.key.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|(_, judged)| error(judged)).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(rows.iter().map(|(_, judged)| judged.attempts).collect::<Vec<_>>())
    .load(conn)?;
    Ok(changed.into_iter().map(|row| row.image_id).collect())
}

fn plain_error(error: &str) -> String {
    error.chars().filter(|letter| *letter != '\0').take(LONGEST_ERROR).collect()
}

/// An image that could not be answered for is not found any more by what its picture was before.
fn write_vectors(conn: &mut PgConnection, network: NetworkId, judged: &HashMap<ImageId, Judged<'_>>) -> QueryResult<()> {
    let failed: Vec<i64> = judged.iter().filter(|(_, judged)| judged.answer.is_err()).map(|(image, _)| image.0).collect();
    if !failed.is_empty() {
        sql_query("DELETE FROM embeddings WHERE network_id = $1 AND image_id = ANY ($2)")
            .bind::<BigInt, _>(network)
            .bind::<Array<BigInt>, _>(failed)
            .execute(conn)?;
    }
    let mut vectors: Vec<(&ImageId, &[f32])> = judged
        .iter()
        .filter_map(|(image, judged)| match &judged.answer {
            Ok(Kept::Vector(vector)) => Some((image, vector.as_slice())),
            _ => None,
        })
        .collect();
    if vectors.is_empty() {
        return Ok(());
    }
    vectors.sort_unstable_by_key(|(image, _)| **image);
    let mut sql = Sql::new("INSERT INTO embeddings (network_id, image_id, vector) VALUES ");
    for (index, (image, vector)) in vectors.into_iter().enumerate() {
        sql.text(if index > 0 { ", (" } else { "(" }).number(network.0).text(", ").number(image.0).text(", ");
        sql.bind(Value::Vector(HalfVector::from_f32_slice(vector))).text(")");
    }
    sql.text(" ON CONFLICT (network_id, image_id) DO UPDATE SET vector = excluded.vector");
    sql.query().execute(conn).map(|_| ())
}

/// Replaces what the network said before, but for what a person has decided on; and what was decided on is not said once more.
fn write_regions(conn: &mut PgConnection, network: NetworkId, judged: &HashMap<ImageId, Judged<'_>>) -> QueryResult<()> {
    let images: Vec<i64> = judged.keys().map(|image| image.0).collect();
    if images.is_empty() {
        return Ok(());
    }
    let decided = decided_regions(conn, network, &images)?;
    sql_query("DELETE FROM regions WHERE network_id = $1 AND image_id = ANY ($2) AND decision IS NULL")
        .bind::<BigInt, _>(network)
        .bind::<Array<BigInt>, _>(images)
        .execute(conn)?;
    let mut rows = Vec::new();
    for (image, judged) in judged {
        let Ok(Kept::Regions { width_px, height_px, found }) = &judged.answer else { continue };
        let of_image = decided.get(image).map_or(&[][..], Vec::as_slice);
        let is_news = |found: &&Found| !of_image.iter().any(|decided| decided.is_same(found, *width_px, *height_px));
        let new = found.iter().filter(is_news).map(|found| RegionRow::new(network, *image, judged.key, (*width_px, *height_px), found));
        rows.extend(new);
    }
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        diesel::insert_into(regions::table).values(rows).execute(conn)?;
    }
    Ok(())
}

/// A region that a person has decided on.
#[derive(QueryableByName)]
struct Decided {
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = Text)]
    label: String,
    #[diesel(sql_type = Float)]
    left_px: f32,
    #[diesel(sql_type = Float)]
    top_px: f32,
    #[diesel(sql_type = Float)]
    right_px: f32,
    #[diesel(sql_type = Float)]
    bottom_px: f32,
    #[diesel(sql_type = Integer)]
    frame_width_px: i32,
    #[diesel(sql_type = Integer)]
    frame_height_px: i32,
}

impl Decided {
    /// Whether something found in a picture of this size is what was decided on, maybe in one of another size.
    fn is_same(&self, found: &Found, width_px: u32, height_px: u32) -> bool {
        let bounds = BoundingBox { left_px: self.left_px, top_px: self.top_px, right_px: self.right_px, bottom_px: self.bottom_px };
        let bounds = bounds.scaled(width_px as f32 / self.frame_width_px as f32, height_px as f32 / self.frame_height_px as f32);
        self.label == PlainText::from(found.label.as_str()).as_str() && bounds.iou(&found.bounds) >= SAME_THING
    }
}

fn decided_regions(conn: &mut PgConnection, network: NetworkId, images: &[i64]) -> QueryResult<HashMap<ImageId, Vec<Decided>>> {
    let rows: Vec<Decided> = sql_query(
        "SELECT image_id, label, left_px, top_px, right_px, bottom_px, frame_width_px, frame_height_px FROM regions \
         WHERE network_id = $1 AND image_id = ANY ($2) AND decision IS NOT NULL",
    )
    .bind::<BigInt, _>(network)
    .bind::<Array<BigInt>, _>(images)
    .load(conn)?;
    let mut by_image: HashMap<ImageId, Vec<Decided>> = HashMap::new();
    for row in rows {
        by_image.entry(row.image_id).or_default().push(row);
    }
    Ok(by_image)
}
