//! Backups: what they are called, what is written about them, which of them are old, and when the next is due.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The form of backups that this program makes, and the newest that it reads.
pub const BACKUP_FORMAT: u32 = 1;

/// Why a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// By the server, once a day.
    Nightly,
    /// By a person.
    Manual,
    /// Of a library that a restore put aside.
    Replaced,
}

impl BackupKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Nightly, Self::Manual, Self::Replaced];

    /// The word in file names and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Manual => "manual",
            Self::Replaced => "replaced",
        }
    }
}

/// The text names no kind of backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of a backup")]
pub struct NoBackupName(String);

impl FromStr for BackupKind {
    type Err = NoBackupName;

    fn from_str(text: &str) -> Result<Self, NoBackupName> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| NoBackupName(text.to_owned()))
    }
}

/// The file name of a backup: `hm-nightly-20261126T031500Z.zip`. Whatever is called otherwise is nobody's to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupName {
    /// When it was begun, in whole seconds.
    pub made_at: DateTime<Utc>,
    /// Why.
    pub kind: BackupKind,
}

const NAME_TIME: &str = "%Y%m%dT%H%M%SZ";

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hm-{}-{}.zip", self.kind.name(), self.made_at.format(NAME_TIME))
    }
}

impl FromStr for BackupName {
    type Err = NoBackupName;

    fn from_str(text: &str) -> Result<Self, NoBackupName> {
        let parse = || {
            let (kind, time) = text.strip_prefix("hm-")?.strip_suffix(".zip")?.split_once('-')?;
            let made_at = NaiveDateTime::parse_from_str(time, NAME_TIME).ok()?.and_utc();
            Some(Self { made_at, kind: kind.parse().ok()? })
        };
        // One name a backup: what is written otherwise is not ours.
        parse().filter(|name| name.to_string() == text).ok_or_else(|| NoBackupName(text.to_owned()))
    }
}

/// The nightly backups beyond the newest `keep`, oldest first; all others stay for ever.
pub fn outlived(names: &[BackupName], keep: usize) -> Vec<BackupName> {
    let mut nightly: Vec<BackupName> = names.iter().copied().filter(|name| name.kind == BackupKind::Nightly).collect();
    nightly.sort_unstable();
    nightly.truncate(nightly.len().saturating_sub(keep));
    nightly
}

/// The last moment up to `now` at which a daily backup was due, both in local time.
pub fn last_due(now: NaiveDateTime, at: NaiveTime) -> NaiveDateTime {
    let today = now.date().and_time(at);
    if today <= now { today } else { today - TimeDelta::days(1) }
}

/// One part of a backup, as it lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPart {
    /// Its name in the archive.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// What is in a backup, and how it is known to be whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// [`BACKUP_FORMAT`] of the program that made it.
    pub format: u32,
    /// When it was begun.
    pub made_at: DateTime<Utc>,
    /// Version of hm.
    pub program: String,
    /// Version of the PostgreSQL server, such as `15.20`.
    pub postgres: String,
    /// The schema that holds the tables.
    pub schema: String,
    /// Versions of the migrations done, oldest first.
    pub migrations: Vec<String>,
    /// Rows of each table.
    pub rows: BTreeMap<String, i64>,
    /// All that lies in the archive beside this.
    pub parts: Vec<BackupPart>,
    /// Pictures among it; 0 where they were left out.
    pub thumbnails: u64,
}

/// A backup cannot be read by this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableManifest {
    /// It says nothing that is understood.
    #[error("its manifest is not understood: {0}")]
    Garbled(String),
    /// A newer program made it.
    #[error("hm {program} made it, which is newer than this one ({own})\nhint: restore it with that version or a newer one")]
    Newer {
        /// Version that made it.
        program: String,
        /// Version of this program.
        own: &'static str,
    },
}

impl BackupManifest {
    /// Reads a manifest and makes sure that this program, which knows the migrations `known`, can restore what it describes.
    ///
    /// # Errors
    /// [`UnreadableManifest`].
    pub fn read(bytes: &[u8], known: &[String]) -> Result<Self, UnreadableManifest> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            program: String,
        }
        let garbled = |error: serde_json::Error| UnreadableManifest::Garbled(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(garbled)?;
        let newer = |program: &str| UnreadableManifest::Newer { program: program.to_owned(), own: env!("CARGO_PKG_VERSION") };
        if head.format > BACKUP_FORMAT {
            return Err(newer(&head.program));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(garbled)?;
        if manifest.migrations.iter().any(|done| !known.contains(done)) {
            return Err(newer(&manifest.program));
        }
        Ok(manifest)
    }

    /// Rows of a table; 0 where it has none.
    pub fn rows_of(&self, table: &str) -> i64 {
        self.rows.get(table).copied().unwrap_or(0)
    }

    /// Major version of the server it was made from.
    pub fn postgres_major(&self) -> u32 {
        self.postgres.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nightly(day: u32) -> BackupName {
        format!("hm-nightly-202611{day:02}T031500Z.zip").parse().unwrap()
    }

    #[test]
    fn only_names_that_hm_gives_are_names() {
        assert_eq!(nightly(26).to_string(), "hm-nightly-20261126T031500Z.zip");
        assert_eq!("hm-replaced-20261126T031500Z.zip".parse::<BackupName>().unwrap().kind, BackupKind::Replaced);
        for other in ["", "hm-nightly.zip", "hm-nightly-2026.zip", "hm-weekly-20261126T031500Z.zip", ".hm-nightly-20261126T031500Z.zip.tmp"]
        {
            assert!(other.parse::<BackupName>().is_err(), "{other}");
        }
        assert!("hm-nightly-20261126T31500Z.zip".parse::<BackupName>().is_err(), "one name a backup");
    }

    #[test]
    fn the_newest_nightly_ones_are_kept_and_all_others() {
        let mut names: Vec<BackupName> = (10..20).rev().map(nightly).collect();
        names.push("hm-manual-20000101T000000Z.zip".parse().unwrap());
        names.push("hm-replaced-20000101T000000Z.zip".parse().unwrap());
        assert_eq!(outlived(&names, 7), [nightly(10), nightly(11), nightly(12)]);
        assert_eq!(outlived(&names, 20), []);
    }

    #[test]
    fn a_backup_is_due_at_its_hour() {
        let time = |text: &str| -> NaiveDateTime { format!("{text}:00").parse().unwrap() };
        let at = NaiveTime::from_hms_opt(3, 15, 0).unwrap();
        assert_eq!(last_due(time("2026-11-26T12:00"), at), time("2026-11-26T03:15"));
        assert_eq!(last_due(time("2026-11-26T03:15"), at), time("2026-11-26T03:15"));
        assert_eq!(last_due(time("2026-11-26T03:14"), at), time("2026-11-25T03:15"));
    }

    #[test]
    fn a_newer_backup_is_refused_with_its_version() {
        let known = ["20261122000001".to_owned()];
        let mut manifest = BackupManifest {
            format: BACKUP_FORMAT,
            made_at: DateTime::UNIX_EPOCH,
            program: "9.9.9".to_owned(),
            postgres: "15.20".to_owned(),
            schema: "public".to_owned(),
            migrations: known.to_vec(),
            rows: [("images".to_owned(), 3)].into(),
            parts: Vec::new(),
            thumbnails: 0,
        };
        let read = |manifest: &BackupManifest| BackupManifest::read(&serde_json::to_vec(manifest).unwrap(), &known);
        assert_eq!(read(&manifest).as_ref(), Ok(&manifest));
        assert_eq!((manifest.rows_of("images"), manifest.rows_of("none"), manifest.postgres_major()), (3, 0, 15));
        manifest.migrations.push("20991231000001".to_owned());
        let error = read(&manifest).unwrap_err().to_string();
        assert!(error.contains("9.9.9") && error.contains("hint: "), "{error}");
        // A form to come, of which nothing is known but these two.
        let error = BackupManifest::read(br#"{"format": 2, "program": "9.9.9"}"#, &known).unwrap_err();
        assert!(matches!(error, UnreadableManifest::Newer { .. }), "{error}");
        assert!(matches!(BackupManifest::read(b"{", &known), Err(UnreadableManifest::Garbled(_))));
    }
}
