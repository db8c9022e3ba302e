//! The file that an image's picture is made from, as the server names it to a worker that has the file's vault mounted itself.

use serde::{Deserialize, Serialize};

use super::{FileFormat, Orientation, PictureKey, RelPath, location::SAME_TIME_NS};

/// Where that file lies, the state it was in, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Names the picture of this state of the file.
    pub picture: PictureKey,
    /// Name of its vault.
    pub vault: String,
    /// Where it lies in its vault: text, or the exact bytes where they are no UTF-8.
    #[serde(with = "path_form")]
    pub path: RelPath,
    /// Size at the last scan, in bytes.
    pub size_bytes: i64,
    /// Time of change at the last scan, nanoseconds since 1970-01-01 UTC.
    pub modified_at_ns: i64,
    /// What it is.
    pub format: FileFormat,
    /// How its stored pixels must be turned, as its metadata says.
    #[serde(default)]
    pub orientation: Option<Orientation>,
    /// Whether the decoder does that by itself.
    #[serde(default)]
    pub decoder_turns: bool,
    /// Size as stored, of a RAW the size of its sensor, in pixels.
    #[serde(default)]
    pub stored_px: Option<(u32, u32)>,
    /// Size of the server's proxy, upright, in pixels.
    pub proxy_px: (u32, u32),
    /// What the proxy was made from, in the database's words: `full`, `embedded-preview`, `developed` or `poster-frame`.
    pub made_from: String,
}

impl Original {
    /// Whether a file of this size and time of change may be in that state.
    pub fn is_state(&self, size_bytes: u64, modified_at_ns: i64) -> bool {
        i64::try_from(size_bytes) == Ok(self.size_bytes) && modified_at_ns.abs_diff(self.modified_at_ns) <= SAME_TIME_NS
    }

    /// The key of the picture that is made of a file with this content, had it been in that state.
    pub fn picture_of(&self, fingerprint: &[u8; 16]) -> PictureKey {
        PictureKey::of(fingerprint, self.modified_at_ns, self.orientation)
    }
}

/// Paths inside a vault in JSON. What is no such path is not read.
mod path_form {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::RelPath;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum PathForm {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &RelPath, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = path.as_bytes();
        let form = str::from_utf8(bytes).map_or_else(|_| PathForm::Bytes(bytes.to_vec()), |text| PathForm::Text(text.to_owned()));
        form.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RelPath, D::Error> {
        let bytes = match PathForm::deserialize(deserializer)? {
            PathForm::Text(text) => text.into_bytes(),
            PathForm::Bytes(bytes) => bytes,
        };
        RelPath::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(path: &[u8]) -> Original {
        Original {
            picture: PictureKey::of(&[1; 16], 2, None),
            vault: "photos".into(),
            path: RelPath::from_bytes(path).unwrap(),
            size_bytes: 10,
            modified_at_ns: 2,
            format: FileFormat::Jpeg,
            orientation: Orientation::try_from(6).ok(),
            decoder_turns: false,
            stored_px: Some((400, 300)),
            proxy_px: (300, 400),
            made_from: "full".into(),
        }
    }

    #[test]
    fn names_that_are_no_text_survive_the_wire_and_paths_that_leave_the_vault_do_not() {
        for path in [&b"2019/a.jpg"[..], b"caf\xe9/b.jpg"] {
            let text = serde_json::to_string(&original(path)).unwrap();
            assert_eq!(serde_json::from_str::<Original>(&text).unwrap(), original(path), "{text}");
        }
        let text = serde_json::to_string(&original(b"2019/a.jpg")).unwrap();
        for bad in ["\"../a.jpg\"", "\"/etc/passwd\"", "\"2019/../../a.jpg\"", "[46,46,47,97]"] {
            let text = text.replace("\"2019/a.jpg\"", bad);
            let error = serde_json::from_str::<Original>(&text).unwrap_err().to_string();
            assert!(error.contains("not a path inside a vault"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_state_is_told_by_size_and_time_and_its_content_by_the_key() {
        let original = Original { modified_at_ns: 5_000_000_000, ..original(b"a.jpg") };
        assert!(original.is_state(10, 5_000_000_000) && original.is_state(10, 6_500_000_000), "file systems round times");
        assert!(!original.is_state(11, 5_000_000_000) && !original.is_state(10, 8_000_000_000));
        let turned = PictureKey::of(&[1; 16], 5_000_000_000, Orientation::try_from(6).ok());
        assert_eq!(original.picture_of(&[1; 16]), turned);
        assert_ne!(original.picture_of(&[2; 16]), turned);
    }
}
