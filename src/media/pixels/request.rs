//! What is asked of the decoding child and what it answers: plain values with serde forms.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::models::{FileFormat, Orientation};

/// One source file and where its pictures go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRequest {
    /// The file to read, absolute.
    #[serde(with = "path_text")]
    pub source: PathBuf,
    /// What its name says it is; its first bytes win where they speak.
    pub format: FileFormat,
    /// How its stored pixels must be turned, as its metadata says; `None` leaves it to the file's own EXIF.
    pub orientation: Option<Orientation>,
    /// Size as stored, of a RAW the size of its sensor, in pixels: tells whether an embedded preview was turned already.
    pub stored_px: Option<(u32, u32)>,
    /// Where the JPEG for the viewer goes; its folder exists.
    #[serde(with = "path_text")]
    pub proxy: PathBuf,
    /// Where the WebP for the grid goes; its folder exists.
    #[serde(with = "path_text")]
    pub thumbnail: PathBuf,
    /// Longest side of the proxy, in pixels.
    pub proxy_px: u32,
    /// Longest side of the thumbnail, in pixels.
    pub thumbnail_px: u32,
    /// Largest picture decoded, in pixels.
    pub max_pixels: u64,
    /// Patience with programs that are started for it (ffmpeg), in seconds.
    pub timeout_s: u64,
}

/// One source file whose proxy alone is wanted, in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRequest {
    /// The file to read, absolute.
    #[serde(with = "path_text")]
    pub source: PathBuf,
    /// What its name says it is; its first bytes win where they speak.
    pub format: FileFormat,
    /// As in [`PictureRequest`].
    pub orientation: Option<Orientation>,
    /// As in [`PictureRequest`].
    pub stored_px: Option<(u32, u32)>,
    /// Longest side of the proxy, in pixels.
    pub proxy_px: u32,
    /// Largest picture decoded, in pixels.
    pub max_pixels: u64,
    /// Patience with programs that are started for it, in seconds.
    pub timeout_s: u64,
}

/// What the decoding child may be asked; its answer to the one is JSON, to the other [`ProxyMade::to_frame`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PixelRequest {
    /// Both pictures, written to disk. First, for it names all that the other does.
    Pictures(PictureRequest),
    /// The proxy alone, sent back.
    Proxy(ProxyRequest),
}

/// A proxy in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyMade {
    /// Its size, upright, in pixels.
    pub proxy_px: (u32, u32),
    /// What it was made from.
    pub source: PictureSource,
    /// Its JPEG; not in the JSON, but behind it.
    #[serde(skip)]
    pub jpeg: Vec<u8>,
}

impl ProxyMade {
    /// An answer as it travels: a line of JSON, and the JPEG as it is.
    pub fn to_frame(answer: &Result<Self, PixelsError>) -> Vec<u8> {
        let mut frame = serde_json::to_vec(answer).expect("plain values have a JSON form");
        frame.push(b'\n');
        frame.extend_from_slice(answer.as_ref().map_or(&[], |made| &made.jpeg));
        frame
    }

    /// Reads [`Self::to_frame`].
    ///
    /// # Errors
    /// [`PixelsError`] of whoever made it; [`PixelsError::Read`] for what is no such answer.
    pub fn from_frame(frame: &[u8]) -> Result<Self, PixelsError> {
        let not_understood = |error: &dyn std::fmt::Display| PixelsError::Read(format!("the child's answer is not understood: {error}"));
        let end = frame.iter().position(|byte| *byte == b'\n').ok_or_else(|| not_understood(&"it has no end of line"))?;
        let answer: Result<Self, PixelsError> = serde_json::from_slice(&frame[..end]).map_err(|error| not_understood(&error))?;
        answer.map(|made| Self { jpeg: frame[end + 1..].to_vec(), ..made })
    }
}

/// What the pictures were made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureSource {
    /// The file's own picture.
    Full,
    /// A smaller picture inside the file: the camera's preview in a RAW, or the EXIF thumbnail of a broken JPEG.
    EmbeddedPreview,
    /// Sensor data, developed here at half size.
    Developed,
    /// A frame of a video.
    PosterFrame,
}

impl PictureSource {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::EmbeddedPreview => "embedded-preview",
            Self::Developed => "developed",
            Self::PosterFrame => "poster-frame",
        }
    }
}

/// The pictures are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicturesMade {
    /// Size of the proxy, upright, in pixels.
    pub proxy_px: (u32, u32),
    /// Size of the whole picture, upright, in pixels, where the source shows it.
    pub full_px: Option<(u32, u32)>,
    /// What they were made from.
    pub source: PictureSource,
    /// ThumbHash, upright.
    pub placeholder: Vec<u8>,
    /// What was wrong with the source although pictures could be made: cut short, damaged.
    pub note: Option<String>,
}

/// Why no pictures could be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum PixelsError {
    /// The file cannot be opened or read; another time it may.
    #[error("cannot read the file: {0}")]
    Read(String),
    /// The picture cannot be written: the thumbnail disk is full, gone or read-only.
    #[error("cannot write the picture: {0}")]
    Write(String),
    /// The file is damaged, or not what it says.
    #[error("the picture is damaged: {0}")]
    Broken(String),
    /// Nothing here can decode it.
    #[error("cannot decode this: {0}")]
    Unsupported(String),
    /// Larger than the settings allow.
    #[error("the picture has {width_px} × {height_px} pixels, more than the {max_pixels} allowed\nhint: raise thumbs.max_megapixels")]
    TooLarge {
        /// Width, in pixels.
        width_px: u32,
        /// Height, in pixels.
        height_px: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// A RAW with neither a preview nor sensor data that could be developed.
    #[error("the file holds no picture: {0}")]
    NoPicture(String),
    /// A video, and no ffmpeg.
    #[error("no ffmpeg to take a frame of the video\nhint: install ffmpeg")]
    NoFfmpeg,
    /// It took too long.
    #[error("gave up after {0} s")]
    TimedOut(u64),
}

impl PixelsError {
    /// Whether the same file may give a picture at another time: the fault is not in the file.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Write(_))
    }
}

/// Paths in JSON: text, or the exact bytes where they are no UTF-8.
mod path_text {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
        path::{Path, PathBuf},
    };

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum PathText {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match path.to_str() {
            Some(text) => PathText::Text(text.to_owned()),
            None => PathText::Bytes(path.as_os_str().as_bytes().to_vec()),
        };
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match PathText::deserialize(deserializer)? {
            PathText::Text(text) => PathBuf::from(text),
            PathText::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}
