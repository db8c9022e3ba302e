//! Writes folders to the database: which image each group continues, and all that is to be written, one transaction a batch.
//!
//! Identity is content. A file keeps its row when it is found under the same name or, moved, with the same content (`resolve.rs`).
//! A group keeps the image of its original, or of whichever image all of whose files it holds; so a second scan of the same files
//! changes nothing, in whatever order folders come. Everything is decided, and every id taken, before the first row is written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    group::Group,
    moment::{Moment, camera_name},
    progress::{Progress, add},
    read::{FolderScan, ScannedFile},
    resolve::Row,
};
use crate::{
    db::{
        PgConnection, QueryError,
        ingest::{self, Batch, CameraWrite, FileWrite, FolderWrite, ImageWrite, PlainText, SearchWords, Sequence},
        known::{self, KnownFile},
        vaults::MountedVault,
    },
    models::{
        FileId, FileRole, FolderId, ImageId, RelPath,
        edit::Place,
        gazetteer::{self, EDITION, whereabouts},
        words,
    },
};

/// What an image is found by, beside its facts.
#[derive(Debug)]
pub(crate) struct Findable {
    /// What its coordinates are called.
    coordinates: Place,
    search_words: SearchWords,
}

impl Findable {
    /// Of every group of a folder.
    pub(crate) fn all(scan: &FolderScan, moments: &[Moment]) -> Vec<Self> {
        let folder = scan.folder.to_nfc();
        scan.grouping.groups.iter().zip(moments).map(|(group, moment)| Self::of(scan, &folder, group, moment)).collect()
    }

    fn of(scan: &FolderScan, folder: &str, group: &Group, moment: &Moment) -> Self {
        let facts = &moment.facts;
        let coordinates = facts.gps.map(|gps| whereabouts(gps.latitude_deg, gps.longitude_deg)).unwrap_or_default();
        let texts = [facts.title.as_deref(), facts.description.as_deref(), Some(moment.base_name.as_str())];
        let places = facts.place.iter().chain([&coordinates]).flat_map(|place| [&place.city, &place.state, &place.country]);
        let keywords = facts.keywords.iter().chain(&facts.hierarchical_keywords).map(String::as_str);
        let names = group.members.iter().map(|member| scan.files[member.file].name.as_str());
        let texts = texts.into_iter().flatten().chain(places.flatten().map(String::as_str)).chain(keywords).chain(names).chain([folder]);
        let search_words = texts.flat_map(words).collect();
        Self { coordinates, search_words }
    }
}

/// Writes the folders of one vault.
pub(crate) struct Ingest<'a> {
    pub(super) conn: &'a mut PgConnection,
    pub(super) vault: &'a MountedVault,
    pub(super) progress: &'a Progress,
    folders: HashMap<RelPath, FolderId>,
    /// Nothing of it was known before this scan, so nothing can have moved.
    pub(super) is_new_vault: bool,
    cameras: HashMap<String, i32>,
    lenses: HashMap<String, i32>,
    /// Rows that found their file elsewhere during this scan, so that nobody else continues or buries them.
    pub(super) moved: HashSet<FileId>,
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
        let is_new_vault = folders.is_empty();
        if is_new_vault {
            // The names of places are read while the first files are.
            gazetteer::prepare();
        }
        Self {
            conn,
            vault,
            progress,
            is_new_vault,
            folders,
            cameras: HashMap::new(),
            lenses: HashMap::new(),
            moved: HashSet::new(),
            claimed: HashSet::new(),
            divided: BTreeSet::new(),
        }
    }

    /// Writes a batch of folders, whole or not at all. What their images are found by goes from the scans to the database.
    pub(crate) fn write(&mut self, scans: &mut [FolderScan]) -> Result<(), QueryError> {
        if scans.is_empty() {
            return Ok(());
        }
        let findable = scans.iter_mut().map(|scan| std::mem::take(&mut scan.findable)).collect();
        let batch = self.prepare(scans, findable)?;
        ingest::write_batch(self.conn, &batch)?;
        add(&self.progress.images, batch.images.len());
        add(&self.progress.files_missing, batch.gone.len());
        add(&self.progress.files_done, scans.iter().map(|scan| scan.listed).sum());
        Ok(())
    }

    /// All that the database needs to hear of these folders and of what the images of each are found by, every id in it allocated.
    fn prepare(&mut self, scans: &[FolderScan], findable: Vec<Vec<Findable>>) -> Result<Batch, QueryError> {
        let rows = self.resolve(scans)?;
        let mut batch = Batch::default();
        let mut touched = BTreeSet::new();
        for (scan, rows) in scans.iter().zip(&rows) {
            let here = scan.files.iter().filter(|file| file.elsewhere.is_none());
            let names: HashSet<&[u8]> = here.map(|file| file.entry.name.as_encoded_bytes()).collect();
            for row in self.gone(scan, rows) {
                touched.extend(row.image);
                if !row.is_missing {
                    batch.gone.push(row.id);
                }
                // Another file was renamed over it.
                if names.contains(row.name.as_slice()) {
                    batch.replaced.push(row.id);
                }
            }
        }
        let folder_ids = self.folder_ids(scans, &mut batch)?;
        let holders = self.holders(scans, &rows, &batch.gone)?;
        let claims = self.claim(scans, &rows, &holders);
        self.ensure_names(scans)?;
        let fresh = claims.iter().flatten().filter(|claim| claim.is_none()).count();
        let mut fresh = ingest::allocate_ids(self.conn, Sequence::Images, fresh)?.into_iter().map(ImageId);
        for (((scan, rows), claims), findable) in scans.iter().zip(&rows).zip(&claims).zip(findable) {
            let mut image_of = vec![None; scan.files.len()];
            for (((group, moment), findable), claim) in scan.grouping.groups.iter().zip(&scan.moments).zip(findable).zip(claims) {
                let image = claim.unwrap_or_else(|| fresh.next().expect("as many were allocated as groups need"));
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
                let mut write = self.image_write(image, folder_ids[&scan.folder], moment, findable, rows);
                write.is_new = claim.is_none();
                batch.images.push(write);
            }
            for (index, (file, row)) in scan.files.iter().zip(rows).enumerate() {
                let (image, role) = image_of[index].map_or((None, loose_role(file.entry.format)), |(image, role)| (Some(image), role));
                if row.image != image {
                    touched.extend(row.image);
                    batch.moves.extend(row.image.zip(image));
                }
                if !row.changed && row.image == image && row.role == role {
                    continue;
                }
                let folder = file.elsewhere.as_ref().unwrap_or(&scan.folder);
                batch.files.push(self.file_write(row, folder_ids[folder], image, role, file));
            }
        }
        batch.renamed = batch.files.iter().map(|file| file.id).filter(|id| self.moved.contains(id)).collect();
        batch.left = touched.into_iter().collect();
        Ok(batch)
    }

    /// The ids of all folders of the batch; those nobody has seen before are made by it, with the folders above them.
    fn folder_ids(&mut self, scans: &[FolderScan], batch: &mut Batch) -> Result<HashMap<RelPath, FolderId>, QueryError> {
        // A folder that was not seen whole is looked at again next time.
        let mut digests: HashMap<&RelPath, Option<[u8; 16]>> =
            scans.iter().map(|scan| (&scan.folder, scan.complete.then_some(scan.digest))).collect();
        let elsewhere = scans.iter().flat_map(|scan| &scan.files).filter_map(|file| file.elsewhere.as_ref());
        let paths: HashSet<&RelPath> = elsewhere.chain(digests.keys().copied()).collect();
        let mut lacking: BTreeSet<(usize, RelPath)> = BTreeSet::new();
        for path in &paths {
            let mut next = Some((*path).clone());
            while let Some(path) = next.take().filter(|path| !self.folders.contains_key(path)) {
                next = path.parent();
                if !lacking.insert((depth(&path), path)) {
                    break;
                }
            }
        }
        let ids = ingest::allocate_ids(self.conn, Sequence::Folders, lacking.len())?;
        for (id, (_, path)) in ids.into_iter().map(FolderId).zip(lacking) {
            let parent = path.parent().map(|parent| self.folders[&parent]);
            let digest = digests.remove(&path).flatten();
            self.folders.insert(path.clone(), id);
            batch.folders.push(FolderWrite { id, vault_id: self.vault.id, parent, path, digest });
        }
        batch.digests = digests.into_iter().map(|(path, digest)| (self.folders[path], digest)).collect();
        Ok(paths.into_iter().map(|path| (path.clone(), self.folders[path])).collect())
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
        for (image, file) in known::list_present_files_of(self.conn, &asked)? {
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

    fn ensure_names(&mut self, scans: &[FolderScan]) -> Result<(), QueryError> {
        let (mut cameras, mut lenses) = (BTreeMap::new(), BTreeSet::new());
        for facts in scans.iter().flat_map(|scan| &scan.files).map(|file| &file.reading.facts) {
            if let Some(name) = camera_name(facts.make.as_deref(), facts.model.as_deref()).filter(|name| !self.cameras.contains_key(name)) {
                cameras.entry(name).or_insert((facts.make.as_deref().unwrap_or(""), facts.model.as_deref().unwrap_or("")));
            }
            lenses.extend(facts.lens.as_ref().filter(|lens| !self.lenses.contains_key(*lens)));
        }
        if cameras.is_empty() && lenses.is_empty() {
            return Ok(());
        }
        let camera = |(name, (make, model)): (String, (&str, &str))| CameraWrite { name, make: make.to_owned(), model: model.to_owned() };
        let cameras: Vec<CameraWrite> = cameras.into_iter().map(camera).collect();
        let lenses: Vec<String> = lenses.into_iter().cloned().collect();
        let (camera_ids, lens_ids) = ingest::ensure_names(self.conn, &cameras, &lenses)?;
        self.cameras.extend(cameras.into_iter().map(|camera| camera.name).zip(camera_ids));
        self.lenses.extend(lenses.into_iter().zip(lens_ids));
        Ok(())
    }

    fn image_write(&self, id: ImageId, folder_id: FolderId, moment: &Moment, findable: Findable, rows: &[Row]) -> ImageWrite {
        let facts = &moment.facts;
        let camera = camera_name(facts.make.as_deref(), facts.model.as_deref());
        let small = |number: u32| i32::try_from(number).ok();
        let place = facts.place.clone().unwrap_or_default();
        let Findable { coordinates, search_words } = findable;
        let plain = |texts: &[String]| texts.iter().map(|text| PlainText::from(text.as_str())).collect();
        ImageWrite {
            is_new: false,
            id,
            vault_id: self.vault.id,
            folder_id,
            base_name: moment.base_name.as_str().into(),
            captured_at: moment.captured_at.local,
            captured_at_source: moment.captured_at.source.as_str().into(),
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
            orientation: facts.orientation.map(|orientation| i16::from(orientation.exif())),
            ratio_milli: moment.ratio_milli,
            title: facts.title.as_deref().map(PlainText::from),
            description: facts.description.as_deref().map(PlainText::from),
            rating: facts.rating.map(i16::from),
            keywords: plain(&facts.keywords),
            hierarchical_keywords: plain(&facts.hierarchical_keywords),
            file_count: i32::try_from(moment.file_count).unwrap_or(i32::MAX),
            total_size_bytes: i64::try_from(moment.total_size_bytes).unwrap_or(i64::MAX),
            suffixes: plain(&moment.suffixes),
            has_raw: moment.has_raw,
            has_jpeg: moment.has_jpeg,
            has_sidecar: moment.has_sidecar,
            is_video: moment.is_video,
            grouping_rule: moment.rule,
            picture_file_id: moment.picture.as_ref().map(|(picture, _)| rows[*picture].id),
            picture_key: moment.picture.as_ref().map(|(_, key)| key.to_string().into()),
            search_words,
            pick: facts.pick.unwrap_or_default().name(),
            color_label: facts.color_label.unwrap_or_default().name(),
            city: place.city.map(PlainText::from),
            state: place.state.map(PlainText::from),
            country: place.country.map(PlainText::from),
            country_code: place.country_code.map(PlainText::from),
            gps_edition: facts.gps.map(|_| EDITION),
            gps_city: coordinates.city.map(PlainText::from),
            gps_state: coordinates.state.map(PlainText::from),
            gps_country: coordinates.country.map(PlainText::from),
            gps_country_code: coordinates.country_code.map(PlainText::from),
        }
    }

    fn file_write(&self, row: &Row, folder_id: FolderId, image_id: Option<ImageId>, role: FileRole, file: &ScannedFile) -> FileWrite {
        FileWrite {
            is_new: row.is_new,
            id: row.id,
            vault_id: self.vault.id,
            folder_id,
            image_id,
            name_bytes: file.entry.name.as_encoded_bytes().to_vec(),
            name: file.name.as_str().into(),
            format: file.entry.format.name(),
            role: role.name(),
            size_bytes: i64::try_from(file.entry.size_bytes).unwrap_or(i64::MAX),
            modified_at_ns: file.entry.modified_at_ns,
            fingerprint: file.reading.fingerprint.map(|fingerprint| fingerprint.to_vec()),
            facts: file.reading.facts.clone().into(),
            error: file.reading.error.as_deref().map(PlainText::from),
        }
    }

    /// Buries the files of folders that are gone whole.
    pub(crate) fn bury(&mut self, folders: &[FolderId]) -> Result<(), QueryError> {
        for folder in folders {
            let known = known::list_known_files(self.conn, *folder)?;
            let of_folder = |row: &&KnownFile| self.folders.get(&row.folder) == Some(folder);
            let gone = known.iter().filter(of_folder).filter(|row| !row.is_missing && !self.moved.contains(&row.id));
            let gone: Vec<&KnownFile> = gone.collect();
            let ids: Vec<FileId> = gone.iter().map(|row| row.id).collect();
            let images: Vec<ImageId> = known.iter().filter_map(|row| row.image).collect();
            let missing = ids.len();
            ingest::write_batch(self.conn, &Batch { gone: ids, left: images, digests: vec![(*folder, None)], ..Batch::default() })?;
            add(&self.progress.files_missing, missing);
        }
        Ok(())
    }

    /// Folders with files of images that moved away: they are grouped anew.
    pub(crate) fn divided_folders(&mut self) -> Result<Vec<RelPath>, QueryError> {
        let divided: Vec<ImageId> = std::mem::take(&mut self.divided).into_iter().collect();
        if divided.is_empty() {
            return Ok(Vec::new());
        }
        let ids: HashSet<FolderId> = known::list_divided_folders(self.conn, &divided)?.into_iter().collect();
        Ok(self.folders.iter().filter(|(_, id)| ids.contains(id)).map(|(path, _)| path.clone()).collect())
    }
}

/// What a file without an image is.
fn loose_role(format: crate::models::FileFormat) -> FileRole {
    if format.kind() == crate::models::FileKind::Sidecar { FileRole::Sidecar } else { FileRole::Unknown }
}

/// Folders above a path; 0 for the root.
fn depth(path: &RelPath) -> usize {
    if path.is_root() { 0 } else { 1 + path.as_bytes().iter().filter(|byte| **byte == b'/').count() }
}
