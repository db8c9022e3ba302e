//! From paths on this host to vaults: which vault a path belongs to, and whether that vault is really there.
//!
//! An absent vault changes nothing: a root that is unreadable, empty, or holds none of the names it held before is another disk or
//! an empty mount point, and nothing of it may be called missing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::recognise::{Recognised, recognise};
use crate::{
    config::VaultConfig,
    db::{PgConnection, QueryError, vaults, vaults::MountedVault},
    models::RelPath,
};

/// A path that cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing is there, and no vault has been.
    #[error("`{path}` cannot be read: {source}\nhint: give a folder with photographs, such as `hm scan /Volumes/Photos`")]
    NotThere {
        /// The path as given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is of no vault's kind.
    #[error("`{0}` is neither a folder nor a file")]
    NoFolder(PathBuf),
    /// A vault whose place is configured lies somewhere else.
    #[error(
        "`{path}` is the vault `{name}`, which the configuration places at `{configured}`\nhint: set `path` of `[vaults.{name}]` to `{path}`"
    )]
    Configured {
        /// Where the vault is.
        path: PathBuf,
        /// Its name.
        name: String,
        /// Where it is said to be.
        configured: PathBuf,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

/// A vault, and what of it to scan.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) vault: MountedVault,
    /// Folders to scan: (path, with all below).
    pub(crate) folders: Vec<(RelPath, bool)>,
    /// Where the vault was mounted before, if it was found elsewhere just now.
    pub(crate) moved_from: Option<PathBuf>,
}

/// Finds the vault of each path, makes one for a folder that none holds, and gathers the paths by vault.
pub(crate) fn resolve(
    conn: &mut PgConnection,
    host: &str,
    configured: &BTreeMap<String, VaultConfig>,
    paths: &[PathBuf],
) -> Result<Vec<Target>, VaultError> {
    for (name, vault) in configured {
        vaults::upsert_vault(conn, name, host, &vault.path)?;
    }
    let mut targets: Vec<Target> = Vec::new();
    for given in paths {
        let mounted = vaults::list_mounted_vaults(conn, host)?;
        let absolute = std::path::absolute(given).map_err(|source| VaultError::NotThere { path: given.clone(), source })?;
        let (path, recursive) = match fs::canonicalize(&absolute).and_then(|path| Ok((fs::metadata(&path)?, path))) {
            Ok((metadata, path)) if metadata.is_dir() => (path, true),
            Ok((metadata, path)) if metadata.is_file() => (path.parent().unwrap_or(Path::new("/")).to_owned(), false),
            Ok(_) => return Err(VaultError::NoFolder(given.clone())),
            // A path inside a known vault that is not there: the vault's own check will say whether it is offline.
            Err(source) => match holder(&mounted, &absolute) {
                Some(vault) => (vault.mount.clone(), true),
                None => return Err(VaultError::NotThere { path: given.clone(), source }),
            },
        };
        let (vault, moved_from) = match holder(&mounted, &path) {
            Some(vault) => (vault.clone(), None),
            None => match recognise(conn, &mounted, &path)? {
                Some(found) => remount(conn, host, configured, found)?,
                None => (adopt(conn, host, &path)?, None),
            },
        };
        let folder = RelPath::below(&vault.mount, &path).unwrap_or_else(|_| RelPath::root());
        match targets.iter_mut().find(|target| target.vault.id == vault.id) {
            Some(target) => target.folders.push((folder, recursive)),
            None => targets.push(Target { vault, folders: vec![(folder, recursive)], moved_from }),
        }
    }
    for target in &mut targets {
        target.folders = outermost(std::mem::take(&mut target.folders));
    }
    Ok(targets)
}

/// The innermost vault that holds a path.
fn holder<'a>(mounted: &'a [MountedVault], path: &Path) -> Option<&'a MountedVault> {
    mounted.iter().filter(|vault| path.starts_with(&vault.mount)).max_by_key(|vault| vault.mount.as_os_str().len())
}

/// Records the new place of a vault that was found elsewhere.
fn remount(
    conn: &mut PgConnection,
    host: &str,
    configured: &BTreeMap<String, VaultConfig>,
    found: Recognised,
) -> Result<(MountedVault, Option<PathBuf>), VaultError> {
    let Recognised { vault, mount } = found;
    if let Some(config) = configured.get(&vault.name) {
        // The next run would put it back: only its owner can say otherwise.
        return Err(VaultError::Configured { path: mount, name: vault.name, configured: config.path.clone() });
    }
    vaults::upsert_vault(conn, &vault.name, host, &mount)?;
    tracing::info!(vault.name = vault.name, vault.path = %mount.display(), "a vault was found elsewhere than before");
    let before = vault.mount.clone();
    Ok((MountedVault { mount, ..vault }, Some(before)))
}

/// Makes a vault of a folder, under the folder's own name or that name and a number.
fn adopt(conn: &mut PgConnection, host: &str, path: &Path) -> Result<MountedVault, VaultError> {
    let base = path.file_name().map_or_else(|| "photos".to_owned(), crate::models::nfc);
    let mut name = base.clone();
    let mut number = 2;
    while vaults::vault_exists(conn, &name)? {
        name = format!("{base} {number}");
        number += 1;
    }
    let id = vaults::upsert_vault(conn, &name, host, path)?;
    tracing::info!(vault.name = name, vault.path = %path.display(), "new vault");
    Ok(MountedVault { id, name, mount: path.to_owned(), root_names: Vec::new(), offline_reason: None })
}

/// Leaves out folders that another one of the list holds.
fn outermost(mut folders: Vec<(RelPath, bool)>) -> Vec<(RelPath, bool)> {
    folders.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    let mut kept: Vec<(RelPath, bool)> = Vec::new();
    for (folder, recursive) in folders {
        let covered = kept.iter().any(|(above, deep)| *above == folder || (*deep && is_below(&folder, above)));
        if !covered {
            kept.push((folder, recursive));
        }
    }
    kept
}

/// Whether `folder` lies below `above`.
pub(crate) fn is_below(folder: &RelPath, above: &RelPath) -> bool {
    let (inner, outer) = (folder.as_bytes(), above.as_bytes());
    outer.is_empty() && !inner.is_empty() || inner.len() > outer.len() && inner.starts_with(outer) && inner[outer.len()] == b'/'
}

/// Names in the root of a vault, or why the vault must be taken for offline.
pub(crate) fn check_root(vault: &MountedVault, files_before: i64) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(&vault.mount).map_err(|error| format!("`{}` cannot be read: {error}", vault.mount.display()))?;
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("`{}` cannot be read: {error}", vault.mount.display()))?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(crate::models::nfc(&name));
        }
    }
    names.sort_unstable();
    if files_before > 0 && names.is_empty() {
        return Err(format!("`{}` is empty, and {files_before} files were there: is the disk mounted?", vault.mount.display()));
    }
    let known_here = vault.root_names.iter().any(|name| names.binary_search(name).is_ok());
    if files_before > 0 && !vault.root_names.is_empty() && !known_here {
        return Err(format!(
            "`{}` holds none of what it held before (`{}`, …): is another disk mounted there?",
            vault.mount.display(),
            vault.root_names[0]
        ));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::VaultId;

    fn path(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_folder_inside_another_is_scanned_once() {
        let folders = vec![(path("a/b"), true), (path("a"), true), (path("ab"), true), (path("a"), false), (path("c/d"), false)];
        assert_eq!(outermost(folders), [(path("a"), true), (path("ab"), true), (path("c/d"), false)]);
        assert_eq!(outermost(vec![(path("a"), false), (path("a/b"), true)]).len(), 2);
        assert_eq!(outermost(vec![(path("x"), true), (path(""), true)]), [(path(""), true)]);
    }

    #[test]
    fn an_empty_or_foreign_root_is_an_absent_vault() {
        let root = tempfile::tempdir().unwrap();
        let mut vault = MountedVault {
            id: VaultId(1),
            name: "photos".into(),
            mount: root.path().to_owned(),
            root_names: vec!["2018".into(), "2019".into()],
            offline_reason: None,
        };
        assert!(check_root(&vault, 5).unwrap_err().contains("is empty"));
        assert!(check_root(&vault, 0).is_ok(), "a new vault may be empty");
        fs::create_dir(root.path().join("Documents")).unwrap();
        assert!(check_root(&vault, 5).unwrap_err().contains("another disk"));
        fs::create_dir(root.path().join("2019")).unwrap();
        assert_eq!(check_root(&vault, 5).unwrap(), ["2019", "Documents"]);
        vault.mount = root.path().join("gone");
        assert!(check_root(&vault, 5).unwrap_err().contains("cannot be read"));
    }
}
