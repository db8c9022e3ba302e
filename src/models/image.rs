//! What a photograph is made of: the formats its files come in, the roles they play, and the facts read from them.

use std::{fmt, str::FromStr};

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use super::edit::{ColorLabel, Field, Pick, Place};

macro_rules! formats {
    ($($variant:ident = $name:literal, $kind:ident, $media_type:literal, [$($extension:literal),+];)+) => {
        /// What a file is, by the name of its format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each variant is the name of a file format")]
        pub enum FileFormat {
            $(#[serde(rename = $name)] $variant,)+
        }

        impl FileFormat {
            /// Every format `hm` knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The format that goes with a file-name extension, in any case, without the dot.
            pub fn from_extension(extension: &str) -> Option<Self> {
                let lower = extension.to_ascii_lowercase();
                match lower.as_str() {
                    $($($extension)|+ => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name stored in the database and shown in the API.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What the format is for.
            pub fn kind(self) -> FileKind {
                match self { $(Self::$variant => FileKind::$kind,)+ }
            }

            /// The media type for HTTP.
            pub fn media_type(self) -> &'static str {
                match self { $(Self::$variant => $media_type,)+ }
            }
        }

        impl FromStr for FileFormat {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name { $($name => Ok(Self::$variant),)+ _ => Err(UnknownName(name.to_owned())) }
            }
        }
    };
}

/// The text names no known format or role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known name")]
pub struct UnknownName(pub(super) String);

formats! {
    Cr2 = "cr2", Raw, "image/x-canon-cr2", ["cr2"];
    Cr3 = "cr3", Raw, "image/x-canon-cr3", ["cr3"];
    Crw = "crw", Raw, "image/x-canon-crw", ["crw"];
    Nef = "nef", Raw, "image/x-nikon-nef", ["nef"];
    Nrw = "nrw", Raw, "image/x-nikon-nrw", ["nrw"];
    Arw = "arw", Raw, "image/x-sony-arw", ["arw"];
    Dng = "dng", Raw, "image/x-adobe-dng", ["dng"];
    Raf = "raf", Raw, "image/x-fuji-raf", ["raf"];
    Orf = "orf", Raw, "image/x-olympus-orf", ["orf"];
    Rw2 = "rw2", Raw, "image/x-panasonic-rw2", ["rw2"];
    Rwl = "rwl", Raw, "image/x-panasonic-rw2", ["rwl"];
    Pef = "pef", Raw, "image/x-pentax-pef", ["pef"];
    Srw = "srw", Raw, "image/x-samsung-srw", ["srw"];
    X3f = "x3f", Raw, "image/x-sigma-x3f", ["x3f"];
    ThreeFr = "3fr", Raw, "image/x-hasselblad-3fr", ["3fr"];
    Iiq = "iiq", Raw, "image/x-phaseone-iiq", ["iiq"];
    Gpr = "gpr", Raw, "image/x-gopro-gpr", ["gpr"];
    Jpeg = "jpeg", Picture, "image/jpeg", ["jpg", "jpeg", "jpe", "jfif"];
    Png = "png", Picture, "image/png", ["png"];
    Tiff = "tiff", Picture, "image/tiff", ["tif", "tiff"];
    Heif = "heif", Picture, "image/heic", ["heic", "heif", "hif"];
    Webp = "webp", Picture, "image/webp", ["webp"];
    Avif = "avif", Picture, "image/avif", ["avif"];
    Jxl = "jxl", Picture, "image/jxl", ["jxl"];
    Xmp = "xmp", Sidecar, "application/rdf+xml", ["xmp"];
    Thm = "thm", Sidecar, "image/jpeg", ["thm"];
    Aae = "aae", Sidecar, "application/xml", ["aae"];
    TakeoutJson = "json", Sidecar, "application/json", ["json"];
    Pp3 = "pp3", Sidecar, "text/plain", ["pp3"];
    Rrdata = "rrdata", Sidecar, "application/json", ["rrdata"];
    On1 = "on1", Sidecar, "application/json", ["on1"];
    Dop = "dop", Sidecar, "text/plain", ["dop"];
    Cos = "cos", Sidecar, "application/xml", ["cos"];
    Nksc = "nksc", Sidecar, "application/xml", ["nksc"];
    Vrd = "vrd", Sidecar, "application/octet-stream", ["vrd"];
    Dr4 = "dr4", Sidecar, "application/octet-stream", ["dr4"];
    Wav = "wav", Sidecar, "audio/wav", ["wav"];
    Lrv = "lrv", Sidecar, "video/mp4", ["lrv"];
    Lrf = "lrf", Sidecar, "video/mp4", ["lrf"];
    Srt = "srt", Sidecar, "application/x-subrip", ["srt"];
    Xml = "xml", Sidecar, "application/xml", ["xml"];
    Mp4 = "mp4", Video, "video/mp4", ["mp4", "m4v"];
    Mov = "mov", Video, "video/quicktime", ["mov"];
    Avi = "avi", Video, "video/x-msvideo", ["avi"];
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FileFormat {
    /// Whether it means something only beside a picture or video: settings of other programs (RapidRAW, ON1, DxO, Capture One, Nikon, Canon),
    /// voice memos, and the small twins, flight data and clip data of cameras. Such files go where their picture goes and are never read.
    pub fn is_companion(self) -> bool {
        use FileFormat::{Cos, Dop, Dr4, Lrf, Lrv, Nksc, On1, Rrdata, Srt, Vrd, Wav, Xml};
        matches!(self, Rrdata | On1 | Dop | Cos | Nksc | Vrd | Dr4 | Wav | Lrv | Lrf | Srt | Xml)
    }
}

/// What a format is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Sensor data: a master.
    Raw,
    /// A developed picture.
    Picture,
    /// Words about another file.
    Sidecar,
    /// Moving pictures.
    Video,
}

/// What a file is to its Image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FileRole {
    /// The capture itself: the RAW, or the only picture.
    Original,
    /// The phone's own rendering beside its RAW.
    Cover,
    /// XMP, THM, AAE, Takeout JSON, PP3; and the moving part of a live photo.
    Sidecar,
    /// A rendering beside the original: camera JPEG, converted file.
    Export,
    /// An edit, crop or version made later.
    Derivative,
    /// Belongs here as none of these: the back of a scanned print, or nobody knows as what.
    Unknown,
}

impl FileRole {
    /// The name stored in the database and shown in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "ORIGINAL",
            Self::Cover => "COVER",
            Self::Sidecar => "SIDECAR",
            Self::Export => "EXPORT",
            Self::Derivative => "DERIVATIVE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FileRole {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "ORIGINAL" => Ok(Self::Original),
            "COVER" => Ok(Self::Cover),
            "SIDECAR" => Ok(Self::Sidecar),
            "EXPORT" => Ok(Self::Export),
            "DERIVATIVE" => Ok(Self::Derivative),
            "UNKNOWN" => Ok(Self::Unknown),
            _ => Err(UnknownName(name.to_owned())),
        }
    }
}

/// When the shutter opened: the clock on the wall there, and how far that clock was from UTC if the file says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedAt {
    /// Local wall-clock time, with the fraction of a second where the file has one. Never converted.
    pub local: NaiveDateTime,
    /// Minutes east of UTC, where the file says so.
    pub offset_minutes: Option<i16>,
    /// Where the value comes from: an exiftool-style tag (`EXIF:DateTimeOriginal`), `file-name` or `file-modified`.
    pub source: String,
}

/// A place on earth, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gps {
    /// Degrees north, -90..=90.
    pub latitude_deg: f64,
    /// Degrees east, -180..=180.
    pub longitude_deg: f64,
    /// Metres above sea level, negative below.
    pub altitude_m: Option<f64>,
}

/// How the stored pixels must be turned to stand upright: EXIF orientation, 1..=8.
///
/// # Source
/// EXIF 2.32, tag 0x0112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Orientation(u8);

impl Orientation {
    /// Stored upright.
    pub const UPRIGHT: Self = Self(1);

    /// The EXIF number, 1..=8.
    pub fn exif(self) -> u8 {
        self.0
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// What is left to do for whoever gets the pixels from a decoder.
    pub fn after_decoder(stated: Option<Self>, decoder_turns: bool) -> Option<Self> {
        stated.filter(|_| !decoder_turns)
    }

    /// The orientation that mirroring left and right first (or not), then turning clockwise by `quarter_turns`, brings upright.
    pub fn from_turns(mirrored: bool, quarter_turns: u8) -> Self {
        const PLAIN: [u8; 4] = [1, 6, 3, 8];
        const MIRRORED: [u8; 4] = [2, 7, 4, 5];
        Self(if mirrored { MIRRORED } else { PLAIN }[usize::from(quarter_turns % 4)])
    }

    /// The upright size of a picture stored as `width` × `height` pixels.
    pub fn upright_size(self, width_px: u32, height_px: u32) -> (u32, u32) {
        if self.swaps_sides() { (height_px, width_px) } else { (width_px, height_px) }
    }
}

impl TryFrom<u8> for Orientation {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        if (1..=8).contains(&number) { Ok(Self(number)) } else { Err(format!("orientation {number} is not in 1..=8")) }
    }
}

impl From<Orientation> for u8 {
    fn from(orientation: Orientation) -> Self {
        orientation.0
    }
}

/// What one file says about its moment. Every field is what the file (or sidecar) itself holds; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Capture time, local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<CapturedAt>,
    /// Camera maker, trimmed, as the file has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Camera model, trimmed, as the file has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Lens name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// ISO speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<u32>,
    /// Aperture as an f-number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_number: Option<f64>,
    /// Exposure time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_s: Option<f64>,
    /// Focal length in millimetres, not converted to 35 mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length_mm: Option<f64>,
    /// Place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gps: Option<Gps>,
    /// How the stored pixels must be turned to stand upright; `None` where the file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<Orientation>,
    /// The decoder does that turn by itself, because the container states it (HEIF, AVIF, JPEG XL): nobody else may.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub decoder_turns: bool,
    /// Width of the picture as stored, before orientation, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width_px: Option<u32>,
    /// Height of the picture as stored, before orientation, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_px: Option<u32>,
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Description or caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// -1 rejected, 0 unrated, 1..=5 stars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<i8>,
    /// Flag beside the stars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// Colour; `none` where the file says that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color_label: Option<ColorLabel>,
    /// Names of the place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Flat keywords, in file order, no duplicates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Hierarchical keywords with `|` between levels, in file order, no duplicates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hierarchical_keywords: Vec<String>,
    /// For a sidecar: what it says is to be none, whatever the picture itself says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<Field>,
    /// Apple's Content Identifier, which pairs a still with its moving part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Program that wrote the file (`EXIF:Software`, `xmp:CreatorTool`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// The picture holds a video (Google or Samsung motion photo).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub motion_photo: bool,
    /// For a Takeout JSON: the `title` it names, which is the picture's file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecar_for: Option<String>,
    /// Which reader produced this: `fast`, `rexiv2`, `kamadak`, `nom`, `xmp`, `takeout`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reader: String,
    /// How much the readers knew then; 0 before they counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: u16,
}

impl Facts {
    /// Whether they hold a value of a field.
    pub fn says(&self, field: Field) -> bool {
        match field {
            Field::Rating => self.rating.is_some(),
            Field::Pick => self.pick.is_some(),
            Field::ColorLabel => self.color_label.is_some(),
            Field::Title => self.title.is_some(),
            Field::Description => self.description.is_some(),
            Field::Keywords => !self.keywords.is_empty() || !self.hierarchical_keywords.is_empty(),
            Field::Gps => self.gps.is_some(),
            Field::CapturedAt => self.captured_at.is_some(),
            Field::Place => self.place.is_some(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_ways_up_are_mirrors_and_turns() {
        let all: Vec<u8> = [false, true]
            .iter()
            .flat_map(|&mirrored| (0..4).map(move |turns| (mirrored, turns)))
            .map(|(mirrored, turns)| Orientation::from_turns(mirrored, turns).exif())
            .collect();
        assert_eq!(all, [1, 6, 3, 8, 2, 7, 4, 5]);
    }

    #[test]
    fn every_format_is_found_by_its_name() {
        for format in FileFormat::ALL {
            assert_eq!(format.name().parse(), Ok(*format));
        }
        assert_eq!(FileFormat::from_extension("JPG"), Some(FileFormat::Jpeg));
        assert_eq!(FileFormat::from_extension("txt"), None);
    }

    #[test]
    fn facts_survive_json_and_leave_out_what_is_unknown() {
        assert_eq!(serde_json::to_string(&Facts::default()).unwrap(), "{}");
        let facts = Facts { orientation: Orientation::try_from(6).ok(), rating: Some(-1), ..Facts::default() };
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
        assert!(serde_json::from_str::<Facts>(r#"{"orientation":9}"#).is_err());
    }

    /// A number that came back different would make every full scan take the file for a changed one.
    #[test]
    fn a_number_survives_json_to_its_last_digit() {
        // Found by the fuzz target `tiff`: serde_json alone reads this one place off.
        let facts = Facts { exposure_s: Some(7.280_237_580_993_520_5), ..Facts::default() };
        assert_eq!(serde_json::from_str::<Facts>(&serde_json::to_string(&facts).unwrap()).unwrap(), facts);
    }
}
