//! Recognises a vault that is mounted elsewhere than before: an absent vault whose files are found, by their content, under another path.
//!
//! A disk may come back as `/Volumes/Photos-1`, a share may move. A path alone would make a second library of it, without the ratings
//! and names of the first. A name alone proves nothing either, so a sample of the files must be there with the content they had.

use std::path::{Path, PathBuf};

use super::vault::check_root;
use crate::{
    db::{PgConnection, QueryError, vaults, vaults::MountedVault},
    media::fingerprint_of,
};

/// Files looked at; each costs one round trip or three.
const SAMPLE: usize = 32;
/// Of the names in the root, and of the sample, this share must be there.
const ENOUGH_NAMES: f64 = 0.5;
const ENOUGH_FILES: f64 = 0.8;

/// A vault found again.
#[derive(Debug)]
pub(super) struct Recognised {
    /// The vault as it was known.
    pub(super) vault: MountedVault,
    /// Its root now.
    pub(super) mount: PathBuf,
}

/// The absent vault of `mounted` that lies at `path` or above it. `None` when there is none, or when two fit equally well.
///
/// # Errors
/// Only the database's own.
pub(super) fn recognise(conn: &mut PgConnection, mounted: &[MountedVault], path: &Path) -> Result<Option<Recognised>, QueryError> {
    let mut best: Vec<(usize, Recognised)> = Vec::new();
    for vault in mounted {
        let files = vaults::count_present_files(conn, vault.id)?;
        if files == 0 || check_root(vault, files).is_ok() {
            // A vault that is in its place is not elsewhere too: what looks like it is a copy.
            continue;
        }
        let roots = path.ancestors().take_while(|root| root.parent().is_some());
        let mut roots = roots.filter(|root| has_the_names_of(vault, root)).peekable();
        if roots.peek().is_none() {
            continue;
        }
        let sample = vaults::list_sample_files(conn, vault.id, SAMPLE)?;
        for root in roots {
            let there = sample.iter().filter(|file| is_there(file, root)).count();
            if !sample.is_empty() && there as f64 >= sample.len() as f64 * ENOUGH_FILES {
                best.push((there, Recognised { vault: vault.clone(), mount: root.to_owned() }));
                break;
            }
        }
    }
    best.sort_by_key(|(there, _)| std::cmp::Reverse(*there));
    if let [(first, one), (second, other), ..] = best.as_slice()
        && first == second
    {
        tracing::warn!("`{}` may be the vault `{}` or `{}`; it is taken for neither", path.display(), one.vault.name, other.vault.name);
        return Ok(None);
    }
    Ok(best.into_iter().next().map(|(_, found)| found))
}

fn has_the_names_of(vault: &MountedVault, root: &Path) -> bool {
    let known = vault.root_names.len();
    let elsewhere = MountedVault { mount: root.to_owned(), root_names: Vec::new(), ..vault.clone() };
    let Ok(names) = check_root(&elsewhere, 0) else { return false };
    let there = vault.root_names.iter().filter(|name| names.binary_search(name).is_ok()).count();
    known > 0 && there as f64 >= known as f64 * ENOUGH_NAMES
}

/// Whether the file is there with the size and the content it had. Its time may differ: a copy to a new disk is still the same vault.
fn is_there(file: &vaults::SampleFile, root: &Path) -> bool {
    let path = file.path.on(root);
    let same_size = std::fs::metadata(&path).is_ok_and(|found| found.is_file() && i64::try_from(found.len()) == Ok(file.size_bytes));
    same_size && fingerprint_of(&path).is_ok_and(|fingerprint| fingerprint == file.fingerprint)
}
