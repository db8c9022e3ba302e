//! Writes folders to the database: which row each file continues, which image each group continues, one transaction a batch.
//!
//! Identity is content. A file keeps its row when it is found under the same name; a file that is new under its name takes over
//! the row of one with the same fingerprint that is no longer where it was. A group keeps the image of its original, or of
//! whichever image all of whose files it holds; so a second scan of the same files changes nothing, in whatever order folders come.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{
    group::Group,
    moment::{Moment, camera_name},
    progress::{Progress, add},
    read::FolderScan,
};
use crate::{
    db::{
        self, PgConnection, QueryError,
        edits::follow_scan,
        ingest::{self, FileWrite, ImageWrite, KnownFile, Sequence},
        vaults::MountedVault,
    },
    models::{FileId, FileRole, FolderId, ImageId, RelPath, words},
};

/// The row a file continues.
struct Row {
    id: FileId,
    image: Option<ImageId>,
    role: FileRole,
    /// Whether anything about the file itself differs from the row.
    changed: bool,
}

/// Writes the folders of one vault.
pub(crate) struct Ingest<'a> {
    conn: &'a mut PgConnection,
    vault: &'a MountedVault,
    progress: &'a Progress,
    folders: HashMap<RelPath, FolderId>,
    /// Nothing of it was known before this scan, so nothing can have moved.
    is_new_vault: bool,
    cameras: HashMap<String, i32>,
    lenses: HashMap<String, i32>,
    /// Rows that found their file elsewhere during this scan, so that nobody else continues or buries them.
    moved: HashSet<FileId>,
    /// Images that were continued during this scan.
    claimed: HashSet<ImageId>,
    /// Images whose files may now lie in several folders.
    divided: BTreeSet<ImageId>,
}

impl<'a> Ingest<'a> {
    pub(crate) fn new(
        conn: &'a mut PgConnection,
        vault: &'a MountedVault,
        folders: HashMap<RelPath, FolderId>,
        progress: &'a Progress,
    ) -> Self {
        Self {
            conn,
            vault,
            progress,
            is_new_vault: folders.is_empty(),
            folders,
            cameras: HashMap::new(),
            lenses: HashMap::new(),
            moved: HashSet::new(),
            claimed: HashSet::new(),
            divided: BTreeSet::new(),
        }
    }

    /// Writes a batch of folders, whole or not at all.
    pub(crate) fn write(&mut self, batch: &[FolderScan]) -> Result<(), QueryError> {
        let rows = self.resolve(batch)?;
        let mut images = Vec::new();
        let mut files = Vec::new();
        let mut touched = BTreeSet::new();
        let mut moves = Vec::new();
        let mut gone: Vec<FileId> = Vec::new();
        for (scan, rows) in batch.iter().zip(&rows) {
            for row in self.gone(scan, rows) {
                touched.extend(row.image);
                if !row.is_missing {
                    gone.push(row.id);
                }
            }
        }
        let folder_ids = self.ensure_folders(batch)?;
        let holders = self.holders(batch, &rows, &gone)?;
        let claims = self.claim(batch, &rows, &holders);
        self.ensure_names(batch)?;
        let fresh = claims.iter().flatten().filter(|claim| claim.is_none()).count();
        let mut fresh = ingest::allocate_ids(self.conn, Sequence::Images, fresh)?.into_iter();
        for ((scan, rows), claims) in batch.iter().zip(&rows).zip(&claims) {
            let moments = Moment::all(scan);
            let mut image_of = vec![None; scan.files.len()];
            for ((group, moment), claim) in scan.grouping.groups.iter().zip(&moments).zip(claims) {
                let image = claim.unwrap_or_else(|| ImageId(fresh.next().expect("as many were allocated as groups need")));
                for member in &group.members {
                    image_of[member.file] = Some((image, member.role));
                }
                let same = |member: &super::group::Member| {
                    let row = &rows[member.file];
                    !row.changed && row.image == Some(image) && row.role == member.role
                };
                if group.members.iter().all(same) && !touched.contains(&image) {
                    continue;
                }
                images.push(self.image_write(image, folder_ids[&scan.folder], group, moment, rows, scan));
            }
            for (index, (file, row)) in scan.files.iter().zip(rows).enumerate() {
                let (image, role) = image_of[index].map_or((None, loose_role(file.entry.format)), |(image, role)| (Some(image), role));
                if row.image != image {
                    touched.extend(row.image);
                    moves.extend(row.image.zip(image));
                }
                if !row.changed && row.image == image && row.role == role {
                    continue;
                }
                let folder = file.elsewhere.as_ref().unwrap_or(&scan.folder);
                files.push(file_write(row.id, folder_ids[folder], image, role, file));
            }
        }
        self.commit(batch, &folder_ids, &images, &files, &gone, (&touched, &moves))?;
        add(&self.progress.images, images.len());
        add(&self.progress.files_missing, gone.len());
        add(&self.progress.files_done, batch.iter().map(|scan| scan.listed).sum());
        Ok(())
    }

    fn commit(
        &mut self,
        batch: &[FolderScan],
        folder_ids: &HashMap<RelPath, FolderId>,
        images: &[ImageWrite],
        files: &[FileWrite],
        gone: &[FileId],
        (touched, moves): (&BTreeSet<ImageId>, &[(ImageId, ImageId)]),
    ) -> Result<(), QueryError> {
        let vault = self.vault.id;
        let moved: Vec<FileId> = files.iter().map(|file| file.id).filter(|id| self.moved.contains(id)).collect();
        let left: Vec<ImageId> = touched.iter().copied().collect();
        db::transaction(self.conn, |conn| {
            ingest::park_names(conn, &moved)?;
            ingest::upsert_images(conn, vault, images)?;
            ingest::upsert_files(conn, vault, files)?;
            follow_scan(conn, &images.iter().map(|image| image.id).collect::<Vec<_>>(), moves)?;
            ingest::record_missing(conn, gone)?;
            ingest::settle_images(conn, &left)?;
            // A folder that was not seen whole is looked at again next time.
            let digest = |scan: &FolderScan| (folder_ids[&scan.folder], scan.complete.then_some(scan.digest));
            ingest::record_digests(conn, &batch.iter().map(digest).collect::<Vec<_>>())
        })
    }

    /// Finds the row that each file continues, and makes ids for those that continue none.
    fn resolve(&mut self, batch: &[FolderScan]) -> Result<Vec<Vec<Row>>, QueryError> {
        let mut rows: Vec<Vec<Option<Row>>> = Vec::new();
        let mut wanted: BTreeSet<[u8; 16]> = BTreeSet::new();
        for scan in batch {
            let resolved = self.resolve_in_folder(scan);
            let unresolved = scan.files.iter().zip(&resolved).filter(|(_, row)| row.is_none());
            wanted.extend(unresolved.filter_map(|(file, _)| file.reading.fingerprint));
            rows.push(resolved);
        }
        if !self.is_new_vault && !wanted.is_empty() {
            self.resolve_moves(batch, &mut rows, &wanted)?;
        }
        let missing = rows.iter().flatten().filter(|row| row.is_none()).count();
        let mut fresh = ingest::allocate_ids(self.conn, Sequence::Files, missing)?.into_iter().map(FileId);
        let mut fill = |row: Option<Row>| {
            row.unwrap_or_else(|| Row {
                id: fresh.next().expect("as many were allocated as files need"),
                image: None,
                role: FileRole::Unknown,
                changed: true,
            })
        };
        Ok(rows.into_iter().map(|folder| folder.into_iter().map(&mut fill).collect()).collect())
    }

    /// Same name first; then renames within the folder, also in a ring.
    fn resolve_in_folder(&mut self, scan: &FolderScan) -> Vec<Option<Row>> {
        let differs = |row: &KnownFile, fingerprint: Option<[u8; 16]>| row.fingerprint.is_some() && row.fingerprint != fingerprint;
        let mut stays = vec![false; scan.known.len()];
        for file in &scan.files {
            if let Some(known) = file.known.filter(|known| !differs(&scan.known[*known], file.reading.fingerprint)) {
                stays[known] = true;
            }
        }
        let mut displaced: HashMap<[u8; 16], Vec<usize>> = HashMap::new();
        for (index, row) in scan.known.iter().enumerate().rev() {
            let here = row.folder == scan.folder && !stays[index] && !self.moved.contains(&row.id);
            if let Some(fingerprint) = row.fingerprint.filter(|_| here && scan.complete) {
                displaced.entry(fingerprint).or_default().push(index);
            }
        }
        let mut picks: Vec<Option<usize>> = Vec::with_capacity(scan.files.len());
        let mut taken = vec![false; scan.known.len()];
        for file in &scan.files {
            let own = file.known.filter(|known| stays[*known]);
            let renamed = || displaced.get_mut(&file.reading.fingerprint?)?.pop();
            let pick = own.or_else(renamed);
            if let Some(index) = pick {
                taken[index] = true;
            }
            picks.push(pick);
        }
        // A row whose name is still used is given up only to another file. Without this, of many small files with equal content (sidecars
        // that say nothing but one rating), one would move to a name that its old row still has.
        let keeps_own = |picks: &[Option<usize>], taken: &[bool]| {
            let own = |index: usize| scan.files[index].known.filter(|known| !taken[*known]);
            (0..picks.len()).find_map(|index| Some((index, picks[index]?, own(index)?)))
        };
        while let Some((index, picked, own)) = keeps_own(&picks, &taken) {
            (taken[picked], taken[own]) = (false, true);
            picks[index] = Some(own);
        }
        let mut rows: Vec<Option<Row>> = Vec::with_capacity(scan.files.len());
        for (file, pick) in scan.files.iter().zip(picks) {
            // What is left under an old name is that file with new content.
            let pick = pick.or_else(|| file.known.filter(|known| !taken[*known]));
            if let Some(index) = pick.filter(|index| Some(*index) != file.known) {
                self.moved.insert(scan.known[index].id);
                add(&self.progress.files_moved, 1);
            }
            rows.push(pick.map(|index| {
                taken[index] = true;
                continued(&scan.known[index], scan, file)
            }));
        }
        rows
    }

    /// Finds files that came from other folders: same content, and no longer where they were.
    fn resolve_moves(
        &mut self,
        batch: &[FolderScan],
        rows: &mut [Vec<Option<Row>>],
        wanted: &BTreeSet<[u8; 16]>,
    ) -> Result<(), QueryError> {
        let wanted: Vec<Vec<u8>> = wanted.iter().map(|fingerprint| fingerprint.to_vec()).collect();
        let mut free: HashMap<[u8; 16], Vec<KnownFile>> = HashMap::new();
        let continued_already: HashSet<FileId> = rows.iter().flatten().flatten().map(|row| row.id).collect();
        for known in ingest::list_files_by_fingerprint(self.conn, &wanted)? {
            let free_to_go = known.vault == self.vault.id && !self.moved.contains(&known.id) && !continued_already.contains(&known.id);
            if let Some(fingerprint) = known.fingerprint.filter(|_| free_to_go) {
                free.entry(fingerprint).or_default().push(known);
            }
        }
        for (scan, rows) in batch.iter().zip(rows) {
            for (file, row) in scan.files.iter().zip(rows.iter_mut()).filter(|(_, row)| row.is_none()) {
                let Some(candidates) = file.reading.fingerprint.and_then(|fingerprint| free.get_mut(&fingerprint)) else { continue };
                let here = scan.folder.on(&self.vault.mount).join(&file.entry.name);
                let left = |known: &KnownFile| known.is_missing || has_left(&self.vault.mount, known, &here);
                if let Some(index) = candidates.iter().position(left) {
                    let known = candidates.remove(index);
                    self.moved.insert(known.id);
                    add(&self.progress.files_moved, 1);
                    *row = Some(continued(&known, scan, file));
                }
            }
        }
        Ok(())
    }

    /// Rows of a folder whose file is no longer in it, and that no other file continues.
    fn gone<'s>(&self, scan: &'s FolderScan, rows: &[Row]) -> Vec<&'s KnownFile> {
        if !scan.complete {
            return Vec::new();
        }
        let kept: HashSet<FileId> = rows.iter().map(|row| row.id).collect();
        let is_gone = |row: &&KnownFile| row.folder == scan.folder && !kept.contains(&row.id) && !self.moved.contains(&row.id);
        scan.known.iter().filter(is_gone).collect()
    }

    /// Which present files hold each image that a file of the batch belonged to, leaving out those just found gone.
    fn holders(
        &mut self,
        batch: &[FolderScan],
        rows: &[Vec<Row>],
        gone: &[FileId],
    ) -> Result<HashMap<ImageId, HashSet<FileId>>, QueryError> {
        let asked: BTreeSet<ImageId> = rows.iter().flatten().filter_map(|row| row.image).collect();
        let mut holders: HashMap<ImageId, HashSet<FileId>> = HashMap::new();
        if batch.is_empty() || asked.is_empty() {
            return Ok(holders);
        }
        let asked: Vec<ImageId> = asked.into_iter().collect();
        let gone: HashSet<FileId> = gone.iter().copied().collect();
        for (image, file) in ingest::list_present_files_of(self.conn, &asked)? {
            if !gone.contains(&file) {
                holders.entry(image).or_default().insert(file);
            }
        }
        Ok(holders)
    }

    /// Which image each group continues; `None` asks for a new one.
    fn claim(&mut self, batch: &[FolderScan], rows: &[Vec<Row>], holders: &HashMap<ImageId, HashSet<FileId>>) -> Vec<Vec<Option<ImageId>>> {
        let nobody = HashSet::new();
        let mut claims = Vec::with_capacity(batch.len());
        for (scan, rows) in batch.iter().zip(rows) {
            let mut folder_claims = Vec::with_capacity(scan.grouping.groups.len());
            for group in &scan.grouping.groups {
                let held = |image: ImageId| group.members.iter().map(|m| &rows[m.file]).filter(move |row| row.image == Some(image));
                let mut wanted: Vec<ImageId> = rows[group.primary].image.into_iter().collect();
                let others: BTreeSet<ImageId> = group.members.iter().filter_map(|member| rows[member.file].image).collect();
                wanted.extend(others);
                let may_have = |image: &&ImageId| {
                    let mine: HashSet<FileId> = held(**image).map(|row| row.id).collect();
                    let all_mine = holders.get(image).unwrap_or(&nobody).is_subset(&mine);
                    !self.claimed.contains(image) && (all_mine || held(**image).any(|row| row.role == FileRole::Original))
                };
                let claim = wanted.iter().find(may_have).copied();
                if let Some(image) = claim {
                    self.claimed.insert(image);
                    let mine: HashSet<FileId> = held(image).map(|row| row.id).collect();
                    if !holders.get(&image).unwrap_or(&nobody).is_subset(&mine) {
                        self.divided.insert(image);
                    }
                }
                folder_claims.push(claim);
            }
            claims.push(folder_claims);
        }
        claims
    }

    fn ensure_folders(&mut self, batch: &[FolderScan]) -> Result<HashMap<RelPath, FolderId>, QueryError> {
        let paths = || batch.iter().flat_map(|scan| scan.files.iter().filter_map(|file| file.elsewhere.as_ref()).chain([&scan.folder]));
        ingest::ensure_folders(self.conn, self.vault.id, paths(), &mut self.folders)?;
        Ok(paths().map(|path| (path.clone(), self.folders[path])).collect())
    }

    fn ensure_names(&mut self, batch: &[FolderScan]) -> Result<(), QueryError> {
        for file in batch.iter().flat_map(|scan| &scan.files) {
            let facts = &file.reading.facts;
            if let Some(name) = camera_name(facts.make.as_deref(), facts.model.as_deref())
                && !self.cameras.contains_key(&name)
            {
                let (make, model) = (facts.make.as_deref().unwrap_or(""), facts.model.as_deref().unwrap_or(""));
                let id = ingest::ensure_camera(self.conn, make, model, &name)?;
                self.cameras.insert(name, id);
            }
            if let Some(lens) = facts.lens.as_deref().filter(|lens| !self.lenses.contains_key(*lens)) {
                let id = ingest::ensure_lens(self.conn, lens)?;
                self.lenses.insert(lens.to_owned(), id);
            }
        }
        Ok(())
    }

    fn image_write(&self, id: ImageId, folder_id: FolderId, group: &Group, moment: &Moment, rows: &[Row], scan: &FolderScan) -> ImageWrite {
        let facts = &moment.facts;
        let camera = camera_name(facts.make.as_deref(), facts.model.as_deref());
        let small = |number: u32| i32::try_from(number).ok();
        let mut search_words: BTreeSet<String> = BTreeSet::new();
        let texts = [facts.title.as_deref(), facts.description.as_deref(), Some(moment.base_name.as_str())];
        let place = facts.place.clone().unwrap_or_default();
        let keywords = facts.keywords.iter().chain(&facts.hierarchical_keywords).map(String::as_str);
        let names = group.members.iter().map(|member| scan.files[member.file].name.as_str());
        let folder = scan.folder.to_nfc();
        let place_names = [&place.city, &place.state, &place.country].into_iter().flatten().map(String::as_str);
        for text in texts.into_iter().flatten().chain(place_names).chain(keywords).chain(names).chain([folder.as_str()]) {
            search_words.extend(words(text));
        }
        ImageWrite {
            id,
            folder_id,
            base_name: moment.base_name.clone(),
            captured_at: moment.captured_at.local,
            captured_at_source: moment.captured_at.source.clone(),
            captured_offset_minutes: moment.captured_at.offset_minutes,
            camera_id: camera.and_then(|name| self.cameras.get(&name).copied()),
            lens_id: facts.lens.as_ref().and_then(|name| self.lenses.get(name).copied()),
            iso: facts.iso.and_then(small),
            f_number: facts.f_number,
            exposure_s: facts.exposure_s,
            focal_length_mm: facts.focal_length_mm,
            latitude_deg: facts.gps.map(|gps| gps.latitude_deg),
            longitude_deg: facts.gps.map(|gps| gps.longitude_deg),
            altitude_m: facts.gps.and_then(|gps| gps.altitude_m),
            width_px: moment.size_px.and_then(|(width, _)| small(width)),
            height_px: moment.size_px.and_then(|(_, height)| small(height)),
            orientation: facts.orientation.map(|orientation| orientation.exif()),
            ratio_milli: moment.ratio_milli,
            title: facts.title.clone(),
            description: facts.description.clone(),
            rating: facts.rating,
            keywords: facts.keywords.clone(),
            hierarchical_keywords: facts.hierarchical_keywords.clone(),
            file_count: i32::try_from(moment.file_count).unwrap_or(i32::MAX),
            total_size_bytes: i64::try_from(moment.total_size_bytes).unwrap_or(i64::MAX),
            suffixes: moment.suffixes.clone(),
            has_raw: moment.has_raw,
            has_jpeg: moment.has_jpeg,
            has_sidecar: moment.has_sidecar,
            is_video: moment.is_video,
            grouping_rule: moment.rule,
            picture_file_id: moment.picture.as_ref().map(|(picture, _)| rows[*picture].id),
            picture_key: moment.picture.as_ref().map(|(_, key)| key.to_string()),
            search_words: search_words.into_iter().collect(),
            pick: facts.pick.unwrap_or_default(),
            color_label: facts.color_label.unwrap_or_default(),
            place,
        }
    }

    /// Buries the files of folders that are gone whole.
    pub(crate) fn bury(&mut self, folders: &[FolderId]) -> Result<(), QueryError> {
        for folder in folders {
            let known = ingest::list_known_files(self.conn, *folder)?;
            let of_folder = |row: &&KnownFile| self.folders.get(&row.folder) == Some(folder);
            let gone = known.iter().filter(of_folder).filter(|row| !row.is_missing && !self.moved.contains(&row.id));
            let gone: Vec<&KnownFile> = gone.collect();
            let ids: Vec<FileId> = gone.iter().map(|row| row.id).collect();
            let images: Vec<ImageId> = known.iter().filter_map(|row| row.image).collect();
            db::transaction(self.conn, |conn| {
                ingest::record_missing(conn, &ids)?;
                ingest::settle_images(conn, &images)?;
                ingest::record_digests(conn, &[(*folder, None)])
            })?;
            add(&self.progress.files_missing, ids.len());
        }
        Ok(())
    }

    /// Folders with files of images that moved away: they are grouped anew.
    pub(crate) fn divided_folders(&mut self) -> Result<Vec<RelPath>, QueryError> {
        let divided: Vec<ImageId> = std::mem::take(&mut self.divided).into_iter().collect();
        if divided.is_empty() {
            return Ok(Vec::new());
        }
        let ids: HashSet<FolderId> = ingest::list_divided_folders(self.conn, &divided)?.into_iter().collect();
        Ok(self.folders.iter().filter(|(_, id)| ids.contains(id)).map(|(path, _)| path.clone()).collect())
    }
}

fn continued(known: &KnownFile, scan: &FolderScan, file: &super::read::ScannedFile) -> Row {
    let same = known.size_bytes == i64::try_from(file.entry.size_bytes).unwrap_or(i64::MAX)
        && known.modified_at_ns == file.entry.modified_at_ns
        && known.fingerprint == file.reading.fingerprint
        && known.facts == file.reading.facts
        && known.error == file.reading.error
        && known.name == file.entry.name.as_encoded_bytes()
        && known.folder == *file.elsewhere.as_ref().unwrap_or(&scan.folder)
        && !known.is_missing;
    Row { id: known.id, image: known.image, role: known.role, changed: !same }
}

/// Whether a file has left the place its row names: nothing is there, or (on a disk that ignores case) `here` itself is.
fn has_left(mount: &Path, known: &KnownFile, here: &Path) -> bool {
    let Ok(name) = RelPath::from_bytes(&known.name) else { return false };
    let there = name.on(&known.folder.on(mount));
    match (fs::symlink_metadata(&there), fs::symlink_metadata(here)) {
        (Err(error), _) => error.kind() == std::io::ErrorKind::NotFound,
        (Ok(old), Ok(new)) => {
            let same_but_for_case = there.to_string_lossy().to_lowercase() == here.to_string_lossy().to_lowercase();
            same_but_for_case && there != here && old.ino() == new.ino() && old.dev() == new.dev()
        }
        (Ok(_), Err(_)) => false,
    }
}

/// What a file without an image is.
fn loose_role(format: crate::models::FileFormat) -> FileRole {
    if format.kind() == crate::models::FileKind::Sidecar { FileRole::Sidecar } else { FileRole::Unknown }
}

fn file_write(id: FileId, folder_id: FolderId, image_id: Option<ImageId>, role: FileRole, file: &super::read::ScannedFile) -> FileWrite {
    FileWrite {
        id,
        folder_id,
        image_id,
        name_hex: hex(file.entry.name.as_encoded_bytes()),
        name: file.name.clone(),
        format: file.entry.format.name(),
        role: role.name(),
        size_bytes: i64::try_from(file.entry.size_bytes).unwrap_or(i64::MAX),
        modified_at_ns: file.entry.modified_at_ns,
        fingerprint_hex: file.reading.fingerprint.map(|fingerprint| hex(&fingerprint)),
        facts: file.reading.facts.clone(),
        error: file.reading.error.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}
