//! The names of XMP that matter here: namespaces by their address, and the properties in them. Apart from the reading because it is a table.
//!
//! # Source
//! XMP specification part 2; MWG guidelines; exif, lr, digiKam and MicrosoftPhoto namespaces as exiftool names them.

use quick_xml::name::ResolveResult;

macro_rules! keys {
    ($($key:ident = $namespace:ident : $($local:literal)|+;)+) => {
        /// A property we know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Key { $($key),+ }

        /// The property of this name in that namespace, if we know it.
        pub(super) fn key(namespace: Ns, local: &str) -> Option<Key> {
            match (namespace, local) {
                $($((Ns::$namespace, $local))|+ => Some(Key::$key),)+
                _ => None,
            }
        }
    };
}

keys! {
    Title = Dc: "title";
    Description = Dc: "description";
    Subject = Dc: "subject";
    Rating = Xmp: "Rating";
    Label = Xmp: "Label";
    CreateDate = Xmp: "CreateDate";
    CreatorTool = Xmp: "CreatorTool";
    DateTimeOriginal = Exif: "DateTimeOriginal";
    DateTimeDigitized = Exif: "DateTimeDigitized";
    SubSecTimeOriginal = Exif: "SubsecTimeOriginal" | "SubSecTimeOriginal";
    OffsetTimeOriginal = Exif: "OffsetTimeOriginal";
    GpsLatitude = Exif: "GPSLatitude";
    GpsLongitude = Exif: "GPSLongitude";
    GpsAltitude = Exif: "GPSAltitude";
    GpsAltitudeRef = Exif: "GPSAltitudeRef";
    Iso = Exif: "ISOSpeedRatings";
    FNumber = Exif: "FNumber";
    ExposureTime = Exif: "ExposureTime";
    FocalLength = Exif: "FocalLength";
    Sensitivity = ExifEx: "PhotographicSensitivity";
    LensModel = ExifEx: "LensModel";
    AuxLens = Aux: "Lens";
    Make = Tiff: "Make";
    Model = Tiff: "Model";
    Orientation = Tiff: "Orientation";
    Software = Tiff: "Software";
    DateCreated = Photoshop: "DateCreated";
    City = Photoshop: "City";
    State = Photoshop: "State";
    Country = Photoshop: "Country";
    CountryCode = IptcCore: "CountryCode";
    HierarchicalSubject = Lightroom: "hierarchicalSubject";
    TagsList = DigiKam: "TagsList";
    PickLabel = DigiKam: "PickLabel";
    ColorLabel = DigiKam: "ColorLabel";
    RatingPercent = Microsoft: "Rating";
    LastKeyword = Microsoft: "LastKeywordXMP";
    CatalogSets = MediaPro: "CatalogSets";
    MicroVideo = Camera: "MicroVideo";
    MotionPhoto = Camera: "MotionPhoto";
    ExtendedPacket = Note: "HasExtendedXMP";
    Cleared = Own: "cleared";
}

/// A namespace that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ns {
    Rdf,
    Xml,
    Dc,
    Xmp,
    Exif,
    ExifEx,
    Aux,
    Tiff,
    Photoshop,
    IptcCore,
    Lightroom,
    DigiKam,
    Microsoft,
    MediaPro,
    Camera,
    Note,
    /// hm's own.
    Own,
}

impl Ns {
    /// By address; some programs leave the closing slash away.
    fn from_address(address: &str) -> Option<Self> {
        Some(match address.trim_end_matches('/') {
            "http://www.w3.org/1999/02/22-rdf-syntax-ns#" => Self::Rdf,
            "http://www.w3.org/XML/1998/namespace" => Self::Xml,
            "http://purl.org/dc/elements/1.1" => Self::Dc,
            "http://ns.adobe.com/xap/1.0" => Self::Xmp,
            "http://ns.adobe.com/exif/1.0" => Self::Exif,
            "http://cipa.jp/exif/1.0" => Self::ExifEx,
            "http://ns.adobe.com/exif/1.0/aux" => Self::Aux,
            "http://ns.adobe.com/tiff/1.0" => Self::Tiff,
            "http://ns.adobe.com/photoshop/1.0" => Self::Photoshop,
            "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns" => Self::IptcCore,
            "http://ns.adobe.com/lightroom/1.0" => Self::Lightroom,
            "http://www.digikam.org/ns/1.0" => Self::DigiKam,
            "http://ns.microsoft.com/photo/1.0" => Self::Microsoft,
            "http://ns.iview-multimedia.com/mediapro/1.0" => Self::MediaPro,
            "http://ns.google.com/photos/1.0/camera" => Self::Camera,
            "http://ns.adobe.com/xmp/note" => Self::Note,
            "urn:hm:sidecar" => Self::Own,
            _ => return None,
        })
    }

    /// By the usual prefix, for packets that forgot to declare it.
    fn from_prefix(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "rdf" => Self::Rdf,
            "xml" => Self::Xml,
            "dc" => Self::Dc,
            "xmp" | "xap" => Self::Xmp,
            "exif" => Self::Exif,
            "exifEX" => Self::ExifEx,
            "aux" => Self::Aux,
            "tiff" => Self::Tiff,
            "photoshop" => Self::Photoshop,
            "Iptc4xmpCore" => Self::IptcCore,
            "lr" => Self::Lightroom,
            "digiKam" => Self::DigiKam,
            "MicrosoftPhoto" => Self::Microsoft,
            _ => return None,
        })
    }

    /// What the XML reader found for a prefix.
    pub(super) fn resolved(result: &ResolveResult<'_>) -> Option<Self> {
        match result {
            ResolveResult::Bound(namespace) => Self::from_address(namespace.0),
            ResolveResult::Unknown(prefix) => Self::from_prefix(prefix),
            ResolveResult::Unbound => None,
        }
    }
}
