//! Where a file is: a vault and a path within it, never an absolute path, so that one name serves every host.
//!
//! Names keep the exact bytes the file system gave; they compare in NFC, because macOS hands out NFD for what Linux stored as NFC.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use unicode_normalization::UnicodeNormalization;

/// How far two times of change of one state of a file may lie apart, in nanoseconds: file systems round them, FAT to two seconds, SMB to
/// 100 ns.
pub const SAME_TIME_NS: u64 = 2_000_000_000;

/// The path leaves its vault, is absolute, or holds an empty or dotted part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path inside a vault")]
pub struct InvalidPath(String);

/// A path inside a vault: exact bytes, parts joined by `/`, empty for the root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The vault's own root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes the bytes of a `/`-separated path.
    ///
    /// # Errors
    /// [`InvalidPath`] when a part is empty, `.`, `..`, or holds a NUL.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidPath> {
        let bad_part = |part: &[u8]| part.is_empty() || part == b"." || part == b".." || part.contains(&0);
        if !bytes.is_empty() && bytes.split(|byte| *byte == b'/').any(bad_part) {
            return Err(InvalidPath(String::from_utf8_lossy(bytes).into_owned()));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The part of `path` below `root`.
    ///
    /// # Errors
    /// [`InvalidPath`] when `path` is not below `root`.
    pub fn below(root: &Path, path: &Path) -> Result<Self, InvalidPath> {
        let rest = path.strip_prefix(root).map_err(|_| InvalidPath(path.display().to_string()))?;
        Self::from_bytes(rest.as_os_str().as_bytes())
    }

    /// The path of an entry called `name` in this folder.
    ///
    /// # Errors
    /// [`InvalidPath`] when `name` is no single valid part.
    pub fn join(&self, name: &OsStr) -> Result<Self, InvalidPath> {
        let name = name.as_bytes();
        if name.contains(&b'/') {
            return Err(InvalidPath(String::from_utf8_lossy(name).into_owned()));
        }
        let mut bytes = self.0.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self::from_bytes(&bytes)
    }

    /// The exact bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the vault's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that holds this entry; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last part; empty for the root.
    pub fn file_name(&self) -> &OsStr {
        let start = self.0.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        OsStr::from_bytes(&self.0[start..])
    }

    /// The absolute path on a host that mounts the vault at `mount`.
    pub fn on(&self, mount: &Path) -> PathBuf {
        if self.is_root() { mount.to_path_buf() } else { mount.join(OsStr::from_bytes(&self.0)) }
    }

    /// What a person reads and what names are compared by: NFC, with bytes that are not UTF-8 replaced.
    pub fn to_nfc(&self) -> String {
        nfc(OsStr::from_bytes(&self.0))
    }
}

/// A name as a person reads it: NFC, with bytes that are not UTF-8 replaced by U+FFFD.
pub(crate) fn nfc(name: &OsStr) -> String {
    name.to_string_lossy().nfc().collect()
}

/// What follows `base_name` in `file_name`, extension included: `.CR2`, `-Edit.jpg`, `.RAW-01.COVER.jpg`. The extension alone when
/// the name does not begin with it (`IMG_E4120.JPG` of `IMG_4120`).
pub fn suffix_of(base_name: &str, file_name: &str) -> String {
    let same_start = file_name.get(..base_name.len()).is_some_and(|start| start.to_lowercase() == base_name.to_lowercase());
    if same_start {
        return file_name[base_name.len()..].to_owned();
    }
    file_name.rsplit_once('.').map_or_else(String::new, |(_, extension)| format!(".{extension}"))
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_its_vault() {
        for bad in ["/etc", "a/../b", "a//b", "./a", "a/", "a\0b"] {
            assert!(RelPath::from_bytes(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(RelPath::root().join(OsStr::new("..")).is_err());
        assert!(RelPath::root().join(OsStr::new("a/b")).is_err());
    }

    #[test]
    fn suffixes_are_what_follows_the_base() {
        assert_eq!(suffix_of("IMG_1", "IMG_1-Edit.jpg"), "-Edit.jpg");
        assert_eq!(suffix_of("IMG_1", "img_1.CR2.xmp"), ".CR2.xmp");
        assert_eq!(suffix_of("IMG_4120", "IMG_E4120.JPG"), ".JPG");
        assert_eq!(suffix_of("Zoé", "Zo.jpg"), ".jpg");
    }

    #[test]
    fn parents_end_at_the_root() {
        let path = RelPath::from_bytes(b"2019/08/a.jpg").unwrap();
        assert_eq!(path.file_name(), "a.jpg");
        let folder = path.parent().unwrap();
        assert_eq!(folder.as_bytes(), b"2019/08");
        assert_eq!(folder.parent().unwrap().parent(), Some(RelPath::root()));
        assert_eq!(RelPath::root().parent(), None);
    }

    #[test]
    fn exact_bytes_are_kept_and_names_compare_in_nfc() {
        let decomposed = RelPath::from_bytes("Zoe\u{301}.jpg".as_bytes()).unwrap();
        assert_eq!(decomposed.to_nfc(), "Zoé.jpg");
        assert_eq!(decomposed.as_bytes(), "Zoe\u{301}.jpg".as_bytes());
        let latin1 = RelPath::from_bytes(b"caf\xe9.jpg").unwrap();
        assert_eq!(latin1.on(Path::new("/m")).as_os_str().as_bytes(), b"/m/caf\xe9.jpg");
    }
}
