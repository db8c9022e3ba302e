//! What can fail on the way to the disk, at which step, and how the sidecar stands after it.

use std::{
    fmt,
    io::{self, ErrorKind},
};

use rustix::io::Errno;

use super::SidecarPath;
use crate::{media::sidecar_write::Refusal, models::RelPath};

/// A step of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Looking at the sidecar that is there.
    Read,
    /// Making the temporary file.
    Create,
    /// Filling it.
    Write,
    /// Giving it the sidecar's owner and permissions.
    Adopt,
    /// Flushing it to the disk.
    Sync,
    /// Reading it back.
    Verify,
    /// Giving it the sidecar's name.
    Rename,
    /// Flushing the folder.
    SyncFolder,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Create => "create a file beside",
            Self::Write => "write",
            Self::Adopt => "keep the owner and permissions of",
            Self::Sync => "flush",
            Self::Verify => "read back",
            Self::Rename => "put in place",
            Self::SyncFolder => "flush the folder of",
        })
    }
}

/// Why a sidecar was not written. Unless [`WriteError::holds_new`], the sidecar is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is not understood.
    #[error("{refusal}")]
    Refused {
        /// The sidecar.
        path: RelPath,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody else changed it since it was read; read again and merge.
    #[error("`{path}` was changed by another program meanwhile")]
    Changed {
        /// The sidecar.
        path: RelPath,
    },
    /// The folder, or the sidecar that was there, is gone.
    #[error("`{path}` is gone: was the folder moved, or the disk taken away?")]
    Vanished {
        /// The sidecar.
        path: RelPath,
    },
    /// The vault is mounted read-only.
    #[error("`{path}` cannot be written: the disk is mounted read-only")]
    ReadOnly {
        /// The sidecar.
        path: RelPath,
    },
    /// Not allowed.
    #[error("`{path}` cannot be written: no permission to {step} it")]
    Denied {
        /// The sidecar.
        path: RelPath,
        /// Which step is not allowed.
        step: Step,
    },
    /// No room.
    #[error("`{path}` cannot be written: the disk is full")]
    Full {
        /// The sidecar.
        path: RelPath,
    },
    /// A folder, a link, or something else that is no plain file has the name.
    #[error("`{path}` is no plain file")]
    NotAFile {
        /// The sidecar.
        path: RelPath,
    },
    /// What came back from the disk is not what was written.
    #[error("`{path}` was not written: the disk gave back other bytes than it was given")]
    Garbled {
        /// The sidecar.
        path: RelPath,
    },
    /// It has its new bytes, but nobody knows whether they would outlive a power cut.
    #[error("`{path}` is written, but the disk did not confirm it: {source}")]
    Unconfirmed {
        /// The sidecar.
        path: RelPath,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("could not {step} `{path}`: {source}")]
    Io {
        /// The sidecar.
        path: RelPath,
        /// At which step.
        step: Step,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    pub(super) fn of(path: &SidecarPath, step: Step, source: io::Error) -> Self {
        let path = path.in_vault.clone();
        let code = source.raw_os_error().map(Errno::from_raw_os_error);
        match (source.kind(), code) {
            _ if step == Step::SyncFolder => Self::Unconfirmed { path, source },
            (_, Some(Errno::ROFS)) | (ErrorKind::ReadOnlyFilesystem, _) => Self::ReadOnly { path },
            (_, Some(Errno::NOSPC | Errno::DQUOT)) | (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => Self::Full { path },
            (_, Some(Errno::LOOP)) | (ErrorKind::IsADirectory | ErrorKind::NotADirectory, _) => Self::NotAFile { path },
            (ErrorKind::PermissionDenied, _) => Self::Denied { path, step },
            (ErrorKind::NotFound, _) => Self::Vanished { path },
            (ErrorKind::AlreadyExists, _) if step == Step::Rename => Self::Changed { path },
            _ => Self::Io { path, step, source },
        }
    }

    /// Whether the sidecar has its new bytes all the same.
    pub fn holds_new(&self) -> bool {
        matches!(self, Self::Unconfirmed { .. })
    }
}
