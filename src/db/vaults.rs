//! Vaults and where each host mounts them.

use std::{
    ffi::OsStr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use diesel::{dsl::now, prelude::*, upsert::excluded};

use super::schema::{files, folders, vault_mounts, vaults};
use crate::models::{RelPath, VaultId};

/// A vault as one host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedVault {
    /// Its id, the same on every host.
    pub id: VaultId,
    /// Its name.
    pub name: String,
    /// Absolute path of its root on this host.
    pub mount: PathBuf,
    /// Names seen in the root at the last scan.
    pub root_names: Vec<String>,
    /// Why it cannot be read at present.
    pub offline_reason: Option<String>,
}

/// The vaults that `host` mounts, by name.
///
/// # Errors
/// Only the database's own.
pub fn list_mounted_vaults(conn: &mut PgConnection, host: &str) -> QueryResult<Vec<MountedVault>> {
    type Row = (VaultId, String, Vec<u8>, Vec<Option<String>>, Option<String>);
    let rows: Vec<Row> = vaults::table
        .inner_join(vault_mounts::table)
        .filter(vault_mounts::host.eq(host))
        .order(vaults::name)
        .select((vaults::id, vaults::name, vault_mounts::path, vaults::root_names, vaults::offline_reason))
        .load(conn)?;
    let mounted = rows.into_iter().map(|(id, name, path, root_names, offline_reason)| MountedVault {
        id,
        name,
        mount: PathBuf::from(std::ffi::OsString::from_vec(path)),
        root_names: root_names.into_iter().flatten().collect(),
        offline_reason,
    });
    Ok(mounted.collect())
}

/// Finds or makes the vault called `name` and records where `host` mounts it.
///
/// # Errors
/// Only the database's own.
pub fn upsert_vault(conn: &mut PgConnection, name: &str, host: &str, mount: &Path) -> QueryResult<VaultId> {
    conn.transaction(|conn| {
        let id: VaultId = diesel::insert_into(vaults::table)
            .values(vaults::name.eq(name))
            .on_conflict(vaults::name)
            .do_update()
            .set(vaults::name.eq(excluded(vaults::name)))
            .returning(vaults::id)
            .get_result(conn)?;
        let path = mount.as_os_str().as_bytes();
        diesel::insert_into(vault_mounts::table)
            .values((vault_mounts::vault_id.eq(id), vault_mounts::host.eq(host), vault_mounts::path.eq(path)))
            .on_conflict((vault_mounts::vault_id, vault_mounts::host))
            .do_update()
            .set(vault_mounts::path.eq(path))
            .execute(conn)?;
        Ok(id)
    })
}

/// Whether a vault of this name exists, on any host.
///
/// # Errors
/// Only the database's own.
pub fn vault_exists(conn: &mut PgConnection, name: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(vaults::table.filter(vaults::name.eq(name)))).get_result(conn)
}

/// Records that a vault cannot be read, and since when; or that it can.
///
/// # Errors
/// Only the database's own.
pub fn record_vault_state(conn: &mut PgConnection, id: VaultId, offline_reason: Option<&str>) -> QueryResult<()> {
    let vault = vaults::table.filter(vaults::id.eq(id));
    match offline_reason {
        Some(reason) => {
            diesel::update(vault.filter(vaults::offline_since.is_null())).set(vaults::offline_since.eq(now)).execute(conn)?;
            diesel::update(vault).set(vaults::offline_reason.eq(reason)).execute(conn)?;
        }
        None => {
            let online = (vaults::offline_since.eq(None::<chrono::DateTime<chrono::Utc>>), vaults::offline_reason.eq(None::<String>));
            // Nothing is written, and no disk waited for, where nothing changes.
            let was_offline = vaults::offline_since.is_not_null().or(vaults::offline_reason.is_not_null());
            diesel::update(vault.filter(was_offline)).set(online).execute(conn)?;
        }
    }
    Ok(())
}

/// Remembers what a healthy root holds.
///
/// # Errors
/// Only the database's own.
pub fn record_root_names(conn: &mut PgConnection, id: VaultId, names: &[String]) -> QueryResult<()> {
    let other = vaults::table.filter(vaults::id.eq(id)).filter(vaults::root_names.ne(names));
    diesel::update(other).set(vaults::root_names.eq(names)).execute(conn).map(|_| ())
}

/// A file by which a vault is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFile {
    /// Where in the vault.
    pub path: RelPath,
    /// Size in bytes.
    pub size_bytes: i64,
    /// Its content.
    pub fingerprint: [u8; 16],
}

/// Up to `most` files from all over a vault, the same ones each time: present ones that have a content.
///
/// # Errors
/// Only the database's own.
pub fn list_sample_files(conn: &mut PgConnection, id: VaultId, most: usize) -> QueryResult<Vec<SampleFile>> {
    type Row = (Vec<u8>, Vec<u8>, i64, Option<Vec<u8>>);
    let rows: Vec<Row> = files::table
        .inner_join(folders::table)
        .filter(
            files::vault_id.eq(id).and(files::missing_since.is_null()).and(files::size_bytes.gt(0)).and(files::fingerprint.is_not_null()),
        )
        // Neighbours were scanned together; a hash of the id draws from everywhere.
        .order(diesel::dsl::sql::<diesel::sql_types::Integer>("hashint8(files.id)"))
        .limit(i64::try_from(most).unwrap_or(i64::MAX))
        .select((folders::rel_path_bytes, files::name_bytes, files::size_bytes, files::fingerprint))
        .load(conn)?;
    let sample = rows.into_iter().filter_map(|(folder, name, size_bytes, fingerprint)| {
        let path = RelPath::from_bytes(&folder).ok()?.join(OsStr::from_bytes(&name)).ok()?;
        Some(SampleFile { path, size_bytes, fingerprint: fingerprint?.try_into().ok()? })
    });
    Ok(sample.collect())
}

/// How many files of a vault are there, not counting the missing.
///
/// # Errors
/// Only the database's own.
pub fn count_present_files(conn: &mut PgConnection, id: VaultId) -> QueryResult<i64> {
    files::table.filter(files::vault_id.eq(id)).filter(files::missing_since.is_null()).count().get_result(conn)
}
