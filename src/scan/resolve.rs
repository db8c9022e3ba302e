//! Which row of the database each file continues: the same name first, then the same content under a new one.
//!
//! Apart from [`super::ingest`], which says what is written of it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    path::Path,
};

use super::{
    ingest::Ingest,
    progress::add,
    read::{FolderScan, ScannedFile},
};
use crate::{
    db::{
        QueryError,
        ingest::{self, Sequence},
        known::{self, KnownFile},
    },
    models::{FileId, FileKind, FileRole, ImageId, RelPath},
};

/// The row a file continues.
pub(super) struct Row {
    pub(super) id: FileId,
    pub(super) image: Option<ImageId>,
    pub(super) role: FileRole,
    /// Whether anything about the file itself differs from the row.
    pub(super) changed: bool,
    /// No row was found; the id is fresh.
    pub(super) is_new: bool,
}

impl Ingest<'_> {
    /// Finds the row that each file continues, and makes ids for those that continue none.
    ///
    /// # Errors
    /// Only the database's own.
    pub(super) fn resolve(&mut self, batch: &[FolderScan]) -> Result<Vec<Vec<Row>>, QueryError> {
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
                is_new: true,
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
        // A sidecar whose name is still used is given up only to another file: many are equal byte for byte (they say nothing but one
        // rating), so that content does not tell which is which. A picture renamed over another is followed by its content.
        let keeps_own = |picks: &[Option<usize>], taken: &[bool]| {
            let is_sidecar = |index: &usize| scan.files[*index].entry.format.kind() == FileKind::Sidecar;
            let own = |index: usize| scan.files[index].known.filter(|known| !taken[*known]);
            let at = (0..picks.len()).filter(is_sidecar);
            let mut found = at.filter_map(|index| Some((index, picks[index]?, own(index)?)));
            found.next()
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
        for known in known::list_files_by_fingerprint(self.conn, &wanted)? {
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
    pub(super) fn gone<'s>(&self, scan: &'s FolderScan, rows: &[Row]) -> Vec<&'s KnownFile> {
        if !scan.complete {
            return Vec::new();
        }
        let kept: HashSet<FileId> = rows.iter().map(|row| row.id).collect();
        let is_gone = |row: &&KnownFile| row.folder == scan.folder && !kept.contains(&row.id) && !self.moved.contains(&row.id);
        scan.known.iter().filter(is_gone).collect()
    }
}

fn continued(known: &KnownFile, scan: &FolderScan, file: &ScannedFile) -> Row {
    let same = known.size_bytes == i64::try_from(file.entry.size_bytes).unwrap_or(i64::MAX)
        && known.modified_at_ns == file.entry.modified_at_ns
        && known.fingerprint == file.reading.fingerprint
        && known.facts == file.reading.facts
        && known.error == file.reading.error
        && known.name == file.entry.name.as_encoded_bytes()
        && known.folder == *file.elsewhere.as_ref().unwrap_or(&scan.folder)
        && !known.is_missing;
    Row { id: known.id, image: known.image, role: known.role, changed: !same, is_new: false }
}

/// Whether a file has left the place its row names: nothing is there, or (on a disk that ignores case) `here` itself is.
fn has_left(mount: &Path, known: &KnownFile, here: &Path) -> bool {
    let Ok(name) = RelPath::from_bytes(&known.name) else { return false };
    let there = name.on(&known.folder.on(mount));
    match fs::symlink_metadata(&there) {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(_) => {
            let same_but_for_case = there.to_string_lossy().to_lowercase() == here.to_string_lossy().to_lowercase();
            same_but_for_case && there != here && !is_spelled_so(mount, &there)
        }
    }
}

/// Whether every part of a path below `mount` is listed with exactly this spelling. Numbers of inodes do not tell: some file systems
/// that ignore case (exFAT through FUSE) have another for each spelling.
fn is_spelled_so(mount: &Path, path: &Path) -> bool {
    let parts = path.ancestors().take_while(|part| *part != mount);
    let listed = |part: &Path| {
        let (Some(folder), Some(name)) = (part.parent(), part.file_name()) else { return true };
        // A folder that cannot be listed proves nothing.
        fs::read_dir(folder).map_or(true, |mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() == name)))
    };
    parts.into_iter().all(listed)
}
