//! A person's word on which files are one image: split and merge.
//!
//! Both write a fresh pin to the files concerned, which the scanner's rules respect, and change the images at once, so that the
//! page shown next is right before any scan.

use std::path::Path;

use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt},
};

use super::{
    duplicates::carry_apart,
    edits::{carry_edits, copy_edits, show_edits},
    image::unreadable,
    regions::{carry_regions, part_regions},
    schema::{files, images},
};
use crate::models::{Facts, FileFormat, FileId, FileKind, FileRole, ImageId, PictureKey, VaultId};

/// Why a split or merge makes no sense; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No file was chosen.
    #[error("Choose the files that shall become an image of their own.")]
    NothingChosen,
    /// A file was chosen that is not the image's.
    #[error("One of the chosen files does not belong to this image any more. Look at it again.")]
    NotItsFiles,
    /// One of both sides would hold sidecars alone.
    #[error("Both images need a picture or a video: choose some of them, not all and not sidecars alone.")]
    NothingToShow,
    /// Fewer than two images were chosen.
    #[error("Choose at least two photos to make them one.")]
    OneImage,
    /// Images of several vaults were chosen.
    #[error("Photos of different vaults cannot become one.")]
    OtherVault,
}

/// How a change went: the image to show next, or why nothing was changed.
pub type Outcome = Result<ImageId, Refused>;

/// Makes an image of its own from some files of an image. Sidecars named after a chosen file (`IMG.CR2.xmp`) go with it.
///
/// # Errors
/// `NotFound` when there is no such image; otherwise when the database fails.
pub fn split_image(conn: &mut PgConnection, image: ImageId, chosen: &[FileId]) -> QueryResult<Outcome> {
    conn.transaction(|conn| {
        lock_image(conn, image)?;
        let all = load_files(conn, image)?;
        let (leaving, staying) = match divide(all, chosen) {
            Ok(sides) => sides,
            Err(refused) => return Ok(Err(refused)),
        };
        let Moved { id } = sql_query(include_str!("split_image.sql")).bind::<BigInt, _>(image).get_result(conn)?;
        let ids: Vec<FileId> = leaving.iter().map(|file| file.id).collect();
        pin(conn, &ids, id)?;
        let first = first_to_show(&leaving);
        if let Some(first) = first {
            take_facts(conn, id, first)?;
        }
        summarise(conn, id, &leaving)?;
        copy_edits(conn, image, id)?;
        part_regions(conn, image, id)?;
        summarise(conn, image, &staying)?;
        Ok(Ok(id))
    })
}

/// Makes one image of several: their files move to the oldest, the others are gone.
///
/// # Errors
/// `NotFound` when one of them does not exist; otherwise when the database fails.
pub fn merge_images(conn: &mut PgConnection, merged: &[ImageId]) -> QueryResult<Outcome> {
    let mut merged = merged.to_vec();
    merged.sort_unstable();
    merged.dedup();
    if merged.len() < 2 {
        return Ok(Err(Refused::OneImage));
    }
    conn.transaction(|conn| {
        let found: Vec<(ImageId, VaultId)> = images::table
            .filter(images::id.eq_any(&merged))
            .order((images::captured_at, images::id))
            .select((images::id, images::vault_id))
            .for_update()
            .load(conn)?;
        if found.len() < merged.len() {
            return Err(diesel::result::Error::NotFound);
        }
        let (oldest, vault) = found[0];
        if found.iter().any(|(_, other)| *other != vault) {
            return Ok(Err(Refused::OtherVault));
        }
        let moving: Vec<FileId> = files::table.filter(files::image_id.eq_any(&merged)).select(files::id).load(conn)?;
        pin(conn, &moving, oldest)?;
        sql_query(include_str!("merge_words.sql"))
            .bind::<BigInt, _>(oldest)
            .bind::<Array<BigInt>, _>(merged.iter().map(|image| image.0).collect::<Vec<_>>())
            .execute(conn)?;
        let others: Vec<ImageId> = merged.iter().copied().filter(|image| *image != oldest).collect();
        for other in &others {
            carry_edits(conn, *other, oldest)?;
            carry_regions(conn, *other, oldest)?;
            carry_apart(conn, *other, oldest)?;
        }
        show_edits(conn, oldest)?;
        diesel::delete(images::table.filter(images::id.eq_any(others))).execute(conn)?;
        let files = load_files(conn, oldest)?;
        summarise(conn, oldest, &files)?;
        Ok(Ok(oldest))
    })
}

#[derive(QueryableByName)]
struct Moved {
    #[diesel(sql_type = BigInt)]
    id: ImageId,
}

/// What a split or merge must know of a file.
#[derive(Debug, Clone)]
struct Member {
    id: FileId,
    name: String,
    format: FileFormat,
    role: FileRole,
    size_bytes: i64,
    modified_at_ns: i64,
    fingerprint: Option<[u8; 16]>,
    facts: Facts,
    is_missing: bool,
}

impl Member {
    fn is_sidecar(&self) -> bool {
        self.format.kind() == FileKind::Sidecar
    }
}

fn lock_image(conn: &mut PgConnection, image: ImageId) -> QueryResult<()> {
    images::table.filter(images::id.eq(image)).select(images::id).for_update().first::<ImageId>(conn).map(|_| ())
}

type MemberColumns = (FileId, String, String, String, i64, i64, Option<Vec<u8>>, serde_json::Value, bool);

fn load_files(conn: &mut PgConnection, image: ImageId) -> QueryResult<Vec<Member>> {
    let rows: Vec<MemberColumns> = files::table
        .filter(files::image_id.eq(image))
        .order((files::name, files::id))
        .select((
            files::id,
            files::name,
            files::format,
            files::role,
            files::size_bytes,
            files::modified_at_ns,
            files::fingerprint,
            files::facts,
            files::missing_since.is_not_null(),
        ))
        .for_update()
        .load(conn)?;
    rows.into_iter().map(member).collect::<Result<_, _>>().map_err(unreadable)
}

fn member(row: MemberColumns) -> Result<Member, Box<dyn std::error::Error + Send + Sync>> {
    let (id, name, format, role, size_bytes, modified_at_ns, fingerprint, facts, is_missing) = row;
    Ok(Member {
        id,
        name,
        format: format.parse()?,
        role: role.parse()?,
        size_bytes,
        modified_at_ns,
        fingerprint: fingerprint.and_then(|bytes| bytes.try_into().ok()),
        facts: serde_json::from_value(facts)?,
        is_missing,
    })
}

/// Parts an image's files into those that leave and those that stay.
fn divide(all: Vec<Member>, chosen: &[FileId]) -> Result<(Vec<Member>, Vec<Member>), Refused> {
    if chosen.is_empty() {
        return Err(Refused::NothingChosen);
    }
    if chosen.iter().any(|id| all.iter().all(|file| file.id != *id)) {
        return Err(Refused::NotItsFiles);
    }
    let chosen_names: Vec<String> = all.iter().filter(|file| chosen.contains(&file.id)).map(|file| format!("{}.", file.name)).collect();
    let (leaving, staying): (Vec<_>, Vec<_>) = all.into_iter().partition(|file| {
        let is_companion = file.is_sidecar() && chosen_names.iter().any(|name| file.name.starts_with(name));
        chosen.contains(&file.id) || is_companion
    });
    let shows = |side: &[Member]| side.iter().any(|file| !file.is_sidecar());
    if shows(&leaving) && shows(&staying) { Ok((leaving, staying)) } else { Err(Refused::NothingToShow) }
}

/// Moves files to an image and marks them with a new pin.
fn pin(conn: &mut PgConnection, moved: &[FileId], image: ImageId) -> QueryResult<()> {
    let pin = format!("person-{:032x}", rand::random::<u128>());
    diesel::update(files::table.filter(files::id.eq_any(moved))).set((files::image_id.eq(image), files::pin.eq(pin))).execute(conn)?;
    Ok(())
}

/// The file that stands for the image: there, with pixels rather than a video, an original rather than a version.
fn first_to_show(files: &[Member]) -> Option<&Member> {
    let rank = |file: &&Member| {
        let role = match file.role {
            FileRole::Original | FileRole::Cover => 0,
            FileRole::Export => 1,
            FileRole::Unknown | FileRole::Sidecar => 2,
            FileRole::Derivative => 3,
        };
        (file.is_missing, file.format.kind() == FileKind::Video, role)
    };
    files.iter().filter(|file| !file.is_sidecar()).min_by_key(rank)
}

/// Gives a new image the name, time and shape of the file that stands for it, where the file says them.
fn take_facts(conn: &mut PgConnection, image: ImageId, file: &Member) -> QueryResult<()> {
    let stem = Path::new(&file.name).file_stem().map_or_else(|| file.name.clone(), |stem| stem.to_string_lossy().into_owned());
    let row = images::table.filter(images::id.eq(image));
    diesel::update(row).set(images::base_name.eq(stem)).execute(conn)?;
    if let Some(captured_at) = &file.facts.captured_at {
        let time = (
            images::captured_at.eq(captured_at.local),
            images::captured_at_source.eq(&captured_at.source),
            images::captured_offset_minutes.eq(captured_at.offset_minutes),
        );
        diesel::update(row).set(time).execute(conn)?;
    }
    if let (Some(width_px), Some(height_px)) = (file.facts.width_px, file.facts.height_px) {
        let size = |(width_px, height_px): (u32, u32)| {
            (
                images::width_px.eq(width_px as i32),
                images::height_px.eq(height_px as i32),
                images::ratio_milli.eq((u64::from(width_px) * 1000 / u64::from(height_px.max(1))).clamp(1, 100_000) as i32),
            )
        };
        let orientation = file.facts.orientation;
        let upright = orientation.map_or((width_px, height_px), |orientation| orientation.upright_size(width_px, height_px));
        let exif = orientation.map(|orientation| i16::from(orientation.exif()));
        diesel::update(row).set((size(upright), images::orientation.eq(exif))).execute(conn)?;
    }
    Ok(())
}

/// Writes what an image's row tells of its files.
fn summarise(conn: &mut PgConnection, image: ImageId, files: &[Member]) -> QueryResult<()> {
    let row = images::table.filter(images::id.eq(image));
    let base_name: Option<String> = row.select(images::base_name).first(conn).optional()?;
    let mut suffixes: Vec<String> = files.iter().map(|file| suffix(base_name.as_deref().unwrap_or_default(), &file.name)).collect();
    suffixes.sort_unstable();
    suffixes.dedup();
    let first = first_to_show(files);
    let key = first.and_then(|file| {
        let fingerprint = file.fingerprint.as_ref()?;
        Some(PictureKey::of(fingerprint, file.modified_at_ns, file.facts.orientation).as_str().to_owned())
    });
    let has = |kind: FileKind| files.iter().any(|file| file.format.kind() == kind);
    diesel::update(row)
        .set((
            images::file_count.eq(files.len() as i32),
            images::total_size_bytes.eq(files.iter().map(|file| file.size_bytes).sum::<i64>()),
            images::suffixes.eq(suffixes.into_iter().map(Some).collect::<Vec<_>>()),
            images::has_raw.eq(has(FileKind::Raw)),
            images::has_jpeg.eq(files.iter().any(|file| file.format == FileFormat::Jpeg)),
            images::has_sidecar.eq(has(FileKind::Sidecar)),
            images::is_video.eq(!has(FileKind::Raw) && !has(FileKind::Picture)),
            images::is_missing.eq(files.iter().filter(|file| !file.is_sidecar()).all(|file| file.is_missing)),
            images::grouping_rule.eq("person"),
            images::picture_file_id.eq(first.map(|file| file.id)),
            images::picture_key.eq(key),
            images::updated_at.eq(diesel::dsl::now),
        ))
        .execute(conn)?;
    Ok(())
}

/// What follows the base name, or the extension alone where the name does not begin with it.
fn suffix(base_name: &str, name: &str) -> String {
    match name.strip_prefix(base_name) {
        Some(rest) => rest.to_owned(),
        None => name.rsplit_once('.').map_or_else(String::new, |(_, extension)| format!(".{extension}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: i64, name: &str, role: FileRole) -> Member {
        Member {
            id: FileId(id),
            name: name.to_owned(),
            format: FileFormat::from_extension(name.rsplit_once('.').unwrap().1).unwrap(),
            role,
            size_bytes: 1,
            modified_at_ns: 1,
            fingerprint: None,
            facts: Facts::default(),
            is_missing: false,
        }
    }

    fn raw_jpeg_and_sidecars() -> Vec<Member> {
        vec![
            file(1, "IMG_1.CR2", FileRole::Original),
            file(2, "IMG_1.CR2.xmp", FileRole::Sidecar),
            file(3, "IMG_1.JPG", FileRole::Export),
            file(4, "IMG_1.xmp", FileRole::Sidecar),
        ]
    }

    #[test]
    fn a_sidecar_named_after_a_file_goes_with_it() {
        let (leaving, staying) = divide(raw_jpeg_and_sidecars(), &[FileId(1)]).unwrap();
        let names = |files: &[Member]| files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&leaving), ["IMG_1.CR2", "IMG_1.CR2.xmp"]);
        assert_eq!(names(&staying), ["IMG_1.JPG", "IMG_1.xmp"]);
    }

    #[test]
    fn both_sides_of_a_split_can_be_shown() {
        let refused = |chosen: &[i64]| divide(raw_jpeg_and_sidecars(), &chosen.iter().copied().map(FileId).collect::<Vec<_>>()).err();
        assert_eq!(refused(&[]), Some(Refused::NothingChosen));
        assert_eq!(refused(&[9]), Some(Refused::NotItsFiles));
        assert_eq!(refused(&[2, 4]), Some(Refused::NothingToShow));
        assert_eq!(refused(&[1, 3]), Some(Refused::NothingToShow));
        assert_eq!(refused(&[3]), None);
    }

    #[test]
    fn a_file_that_is_there_stands_for_the_image_before_one_that_is_gone() {
        let mut files = raw_jpeg_and_sidecars();
        assert_eq!(first_to_show(&files).unwrap().id, FileId(1));
        files[0].is_missing = true;
        assert_eq!(first_to_show(&files).unwrap().id, FileId(3));
    }
}
