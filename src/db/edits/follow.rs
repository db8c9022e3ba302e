//! What a scan means for people's values: the vault may say something new, and images may have become one.
//!
//! Called within the scan's own transaction after it wrote images and files, so that there is no moment at which an unwritten edit is not
//! shown. A library without edits pays one question of an index for each batch.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary},
};

use super::{Pen, every_field, load_rows, next_batch};
use crate::{
    db::regions::carry_regions,
    models::{
        ImageId,
        edit::{Sidecar, Standing, Value, WriteState, reconcile},
    },
};

/// Who another program is.
const OUTSIDE: &str = "outside";
/// Who it is when images become one.
const MERGE: &str = "merge";

/// Compares people's values with what a scan just wrote to `images`, and shows people's values again where they hold. `moves` are files
/// that went from one image to another: an image that lost all of them gives its edits along, and what people drew in it.
///
/// # Errors
/// When the database fails.
pub fn follow_scan(conn: &mut PgConnection, images: &[ImageId], moves: &[(ImageId, ImageId)]) -> QueryResult<()> {
    for (from, to) in emptied(conn, moves)? {
        carry_edits(conn, from, to)?;
        carry_regions(conn, from, to)?;
    }
    if images.is_empty() {
        return Ok(());
    }
    let edited: HashSet<ImageId> = load_rows(conn, images, &every_field())?.into_keys().map(|(image, _)| image).collect();
    if edited.is_empty() {
        return Ok(());
    }
    let mut edited: Vec<ImageId> = edited.into_iter().collect();
    edited.sort_unstable();
    let mut pen = Pen::lock(conn, &edited, &every_field())?;
    let prints = sidecar_fingerprints(conn, &pen)?;
    let rows: Vec<_> = pen.rows.iter().map(|((image, _), row)| (*image, row.clone())).collect();
    let index_of: HashMap<ImageId, usize> = pen.shown.iter().enumerate().map(|(index, shown)| (shown.id, index)).collect();
    let mut recognised: Vec<ImageId> = Vec::new();
    for (image, row) in rows {
        let Some(index) = index_of.get(&image).copied() else { continue };
        let theirs = pen.shown[index].get(row.standing.value.field());
        let prints = prints.get(&image).map_or(&[][..], Vec::as_slice);
        let sidecar = match row.written_fingerprint {
            Some(print) if prints.contains(&print) => Sidecar::OwnHand,
            _ if row.was_written && prints.is_empty() => Sidecar::Gone,
            _ => Sidecar::Anybodys,
        };
        if sidecar == Sidecar::OwnHand {
            recognised.push(image);
        }
        let outcome = reconcile(&row.standing, &theirs, sidecar);
        if let Some(replaced) = &outcome.replaced {
            pen.remember(index, replaced, &outcome.standing.value);
        }
        pen.new[index].set(&outcome.standing.value);
        if outcome.standing != row.standing {
            pen.stand(image, outcome.standing);
        }
    }
    pen.write(conn, OUTSIDE, &mut None)?;
    if recognised.is_empty() {
        return Ok(());
    }
    sql_query("UPDATE image_edits SET written_fingerprint = NULL WHERE image_id = ANY($1) AND written_fingerprint IS NOT NULL")
        .bind::<Array<BigInt>, _>(recognised)
        .execute(conn)
        .map(|_| ())
}

/// The sidecars that are there of the images in hand, where we ever wrote one or were about to when we were ended.
fn sidecar_fingerprints(conn: &mut PgConnection, pen: &Pen) -> QueryResult<HashMap<ImageId, Vec<Vec<u8>>>> {
    #[derive(QueryableByName)]
    struct Print {
        #[diesel(sql_type = BigInt)]
        image_id: ImageId,
        #[diesel(sql_type = Binary)]
        fingerprint: Vec<u8>,
    }
    let asked: Vec<ImageId> =
        pen.rows.iter().filter(|(_, row)| row.was_written || row.written_fingerprint.is_some()).map(|((image, _), _)| *image).collect();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Print> = sql_query(
        "SELECT image_id, fingerprint FROM files \
         WHERE image_id = ANY($1) AND format = 'xmp' AND missing_since IS NULL AND fingerprint IS NOT NULL",
    )
    .bind::<Array<BigInt>, _>(asked)
    .load(conn)?;
    let mut prints: HashMap<ImageId, Vec<Vec<u8>>> = HashMap::new();
    for row in rows {
        prints.entry(row.image_id).or_default().push(row.fingerprint);
    }
    Ok(prints)
}

/// Images with a history that have no file left, each with the image that took its first.
fn emptied(conn: &mut PgConnection, moves: &[(ImageId, ImageId)]) -> QueryResult<BTreeMap<ImageId, ImageId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: ImageId,
    }
    if moves.is_empty() {
        return Ok(BTreeMap::new());
    }
    let left: Vec<ImageId> = moves.iter().map(|(from, _)| *from).collect();
    let rows: Vec<Row> = sql_query(
        "SELECT i.id FROM images AS i WHERE i.id = ANY($1) AND NOT EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id) \
         AND (EXISTS (SELECT FROM edits AS e WHERE e.image_id = i.id) OR EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id) \
         OR EXISTS (SELECT FROM regions AS r WHERE r.image_id = i.id AND (r.origin = 'person' OR r.decision IS NOT NULL)))",
    )
    .bind::<Array<BigInt>, _>(left)
    .load(conn)?;
    let heir = |image: ImageId| moves.iter().find(|(from, _)| *from == image).map(|(_, to)| (image, *to));
    Ok(rows.into_iter().filter_map(|row| heir(row.id)).collect())
}

/// Gives one image's edits to another that has its files now. The whole history goes along. Of the values, those that no sidecar says yet
/// do: where the other image has an unwritten value of the same field, the later one wins; keywords come together.
///
/// What is shown stays for the caller: a scan compares afterwards, [`show_edits`] does it at once.
///
/// # Errors
/// When the database fails.
pub(in crate::db) fn carry_edits(conn: &mut PgConnection, from: ImageId, to: ImageId) -> QueryResult<()> {
    sql_query("UPDATE edits SET image_id = $2 WHERE image_id = $1").bind::<BigInt, _>(from).bind::<BigInt, _>(to).execute(conn)?;
    let leaving = load_rows(conn, &[from], &every_field())?;
    if leaving.is_empty() {
        return Ok(());
    }
    let mut pen = Pen::lock(conn, &[to], &every_field())?;
    for ((_, field), row) in leaving {
        if row.standing.state == WriteState::Written || pen.shown.is_empty() {
            continue;
        }
        let own = pen.rows.get(&(to, field)).cloned();
        let before = own.as_ref().map_or_else(|| pen.shown[0].get(field), |own| own.standing.value.clone());
        let unwritten = own.filter(|own| own.standing.state != WriteState::Written);
        let after = match (&before, &row.standing.value) {
            (Value::Keywords(here), Value::Keywords(there)) => Value::Keywords(here.with(there)),
            _ if unwritten.is_some_and(|own| own.updated_at >= row.updated_at) => before.clone(),
            (_, there) => there.clone(),
        };
        if after != before {
            pen.remember(0, &before, &after);
        }
        pen.stand(to, Standing { value: after, base: None, state: WriteState::Pending, outside: None });
    }
    let batch = next_batch(conn)?;
    pen.write(conn, MERGE, &mut Some(batch))?;
    sql_query("DELETE FROM image_edits WHERE image_id = $1").bind::<BigInt, _>(from).execute(conn).map(|_| ())
}

/// Gives the edits of an image also to one that was split from it: they were made to both. But not those of the time: that images are
/// split means that it differs.
///
/// # Errors
/// When the database fails.
pub(in crate::db) fn copy_edits(conn: &mut PgConnection, from: ImageId, to: ImageId) -> QueryResult<()> {
    let copies = [
        "INSERT INTO edits (batch_id, image_id, field, before, after, author, made_at, undone_at, undone_by) \
         SELECT batch_id, $2, field, before, after, author, made_at, undone_at, undone_by FROM edits \
         WHERE image_id = $1 AND field <> 'captured_at' ORDER BY id",
        "INSERT INTO image_edits (image_id, field, value) SELECT $2, field, value FROM image_edits \
         WHERE image_id = $1 AND field <> 'captured_at'",
    ];
    for copy in copies {
        sql_query(copy).bind::<BigInt, _>(from).bind::<BigInt, _>(to).execute(conn)?;
    }
    Ok(())
}

/// Shows an image's values as people gave them.
///
/// # Errors
/// When the database fails.
pub(in crate::db) fn show_edits(conn: &mut PgConnection, image: ImageId) -> QueryResult<()> {
    let mut pen = Pen::lock(conn, &[image], &every_field())?;
    let values: Vec<Value> = pen.rows.values().map(|row| row.standing.value.clone()).collect();
    if let Some(new) = pen.new.first_mut() {
        values.iter().for_each(|value| new.set(value));
    }
    pen.write(conn, MERGE, &mut None)
}
