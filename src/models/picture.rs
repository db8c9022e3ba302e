//! The pictures made to look at: which sizes there are, and where each lies below the thumbnail directory.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Orientation;

/// Raised whenever the same source would give other pixels, so that nothing stale is ever shown.
const PICTURE_VERSION: u8 = 1;

/// The two sizes kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureSize {
    /// For the grid: WebP, 512 px by default.
    Thumbnail,
    /// For the viewer: JPEG, 2048 px by default.
    Proxy,
}

/// Names the pictures of one state of one source file: changes whenever the pixels may have changed. 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PictureKey(String);

/// The text is no picture key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no picture key: expected 32 lower-case hexadecimal digits")]
pub struct InvalidPictureKey(String);

impl PictureKey {
    /// The key of a file with this fingerprint, modification time and way up.
    pub fn of(fingerprint: &[u8; 16], modified_at_ns: i64, orientation: Option<Orientation>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[PICTURE_VERSION, orientation.map_or(0, Orientation::exif)]);
        hasher.update(fingerprint);
        hasher.update(&modified_at_ns.to_le_bytes());
        Self(hasher.finalize().to_hex()[..32].to_owned())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a picture lies, relative to the thumbnail directory: `ab/cd/abcd….thumb.webp`.
    pub fn relative_path(&self, size: PictureSize) -> PathBuf {
        let suffix = match size {
            PictureSize::Thumbnail => "thumb.webp",
            PictureSize::Proxy => "proxy.jpg",
        };
        PathBuf::from(format!("{}/{}/{}.{suffix}", &self.0[..2], &self.0[2..4], self.0))
    }
}

impl FromStr for PictureKey {
    type Err = InvalidPictureKey;

    fn from_str(text: &str) -> Result<Self, InvalidPictureKey> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_digit) { Ok(Self(text.to_owned())) } else { Err(InvalidPictureKey(text.to_owned())) }
    }
}

impl TryFrom<String> for PictureKey {
    type Error = InvalidPictureKey;

    fn try_from(text: String) -> Result<Self, InvalidPictureKey> {
        text.parse()
    }
}

impl From<PictureKey> for String {
    fn from(key: PictureKey) -> Self {
        key.0
    }
}

impl fmt::Display for PictureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_with_content_time_and_orientation() {
        let key = PictureKey::of(&[7; 16], 1, None);
        assert_ne!(key, PictureKey::of(&[8; 16], 1, None));
        assert_ne!(key, PictureKey::of(&[7; 16], 2, None));
        assert_ne!(key, PictureKey::of(&[7; 16], 1, Orientation::try_from(6).ok()));
        assert_eq!(key.as_str().parse(), Ok(key.clone()));
        assert!("../../../../etc/passwd0000000000".parse::<PictureKey>().is_err());
    }
}
