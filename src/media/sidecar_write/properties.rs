//! The properties that may be written, and the shape each has. Apart because it is a table.
//!
//! # Source
//! XMP specification parts 1 and 2; IPTC Core 1.1; digiKam's, Lightroom's, Windows' and ACDSee's own name spaces as they and exiftool
//! write them.

/// The namespace of RDF itself.
pub(super) const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
/// The namespace of the packet's outermost element.
pub(super) const META: &str = "adobe:ns:meta/";

/// The form of a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One text.
    Simple,
    /// A set: `rdf:Bag`.
    Bag,
    /// A list: `rdf:Seq`.
    Seq,
    /// One text in several languages: `rdf:Alt` with `xml:lang`.
    Languages,
}

/// A property: where its name is defined, how programs usually abbreviate that, and its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) namespace: &'static str,
    /// The prefix used where the document has none of its own.
    pub(super) prefix: &'static str,
    pub(super) local: &'static str,
    pub(super) shape: Shape,
}

impl std::fmt::Display for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.prefix, self.local)
    }
}

macro_rules! properties {
    ($($constant:ident = $prefix:literal $local:literal $shape:ident in $namespace:literal;)+) => {
        $(
            pub(super) const $constant: Property =
                Property { namespace: $namespace, prefix: $prefix, local: $local, shape: Shape::$shape };
        )+
        /// All of them.
        #[cfg(test)]
        const ALL: &[&Property] = &[$(&$constant),+];
    };
}

properties! {
    RATING = "xmp" "Rating" Simple in "http://ns.adobe.com/xap/1.0/";
    LABEL = "xmp" "Label" Simple in "http://ns.adobe.com/xap/1.0/";
    PICK_LABEL = "digiKam" "PickLabel" Simple in "http://www.digikam.org/ns/1.0/";
    COLOR_LABEL = "digiKam" "ColorLabel" Simple in "http://www.digikam.org/ns/1.0/";
    TITLE = "dc" "title" Languages in "http://purl.org/dc/elements/1.1/";
    DESCRIPTION = "dc" "description" Languages in "http://purl.org/dc/elements/1.1/";
    SUBJECT = "dc" "subject" Bag in "http://purl.org/dc/elements/1.1/";
    HIERARCHICAL_SUBJECT = "lr" "hierarchicalSubject" Bag in "http://ns.adobe.com/lightroom/1.0/";
    TAGS_LIST = "digiKam" "TagsList" Seq in "http://www.digikam.org/ns/1.0/";
    GPS_VERSION = "exif" "GPSVersionID" Simple in "http://ns.adobe.com/exif/1.0/";
    GPS_LATITUDE = "exif" "GPSLatitude" Simple in "http://ns.adobe.com/exif/1.0/";
    GPS_LONGITUDE = "exif" "GPSLongitude" Simple in "http://ns.adobe.com/exif/1.0/";
    GPS_ALTITUDE = "exif" "GPSAltitude" Simple in "http://ns.adobe.com/exif/1.0/";
    GPS_ALTITUDE_REF = "exif" "GPSAltitudeRef" Simple in "http://ns.adobe.com/exif/1.0/";
    DATE_TIME_ORIGINAL = "exif" "DateTimeOriginal" Simple in "http://ns.adobe.com/exif/1.0/";
    SUBSECONDS = "exif" "SubSecTimeOriginal" Simple in "http://ns.adobe.com/exif/1.0/";
    SUBSECONDS_LOWER = "exif" "SubsecTimeOriginal" Simple in "http://ns.adobe.com/exif/1.0/";
    OFFSET = "exif" "OffsetTimeOriginal" Simple in "http://ns.adobe.com/exif/1.0/";
    DATE_CREATED = "photoshop" "DateCreated" Simple in "http://ns.adobe.com/photoshop/1.0/";
    CITY = "photoshop" "City" Simple in "http://ns.adobe.com/photoshop/1.0/";
    STATE = "photoshop" "State" Simple in "http://ns.adobe.com/photoshop/1.0/";
    COUNTRY = "photoshop" "Country" Simple in "http://ns.adobe.com/photoshop/1.0/";
    COUNTRY_CODE = "Iptc4xmpCore" "CountryCode" Simple in "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
    MICROSOFT_RATING = "MicrosoftPhoto" "Rating" Simple in "http://ns.microsoft.com/photo/1.0/";
    ACDSEE_RATING = "acdsee" "rating" Simple in "http://ns.acdsee.com/iptc/1.0/";
    MICROSOFT_KEYWORDS = "MicrosoftPhoto" "LastKeywordXMP" Bag in "http://ns.microsoft.com/photo/1.0/";
    CATALOG_SETS = "mediapro" "CatalogSets" Bag in "http://ns.iview-multimedia.com/mediapro/1.0/";
    CLEARED = "hm" "cleared" Bag in "urn:hm:sidecar/";
    ACDSEE_CATEGORIES = "acdsee" "categories" Simple in "http://ns.acdsee.com/iptc/1.0/";
}

impl Property {
    /// Whether a name in a document is this property's. Some programs leave the closing slash of an address away.
    pub(super) fn is_named(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace.trim_end_matches('/') == namespace.trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_one_address() {
        for one in ALL {
            for other in ALL {
                assert_eq!(one.prefix == other.prefix, one.namespace == other.namespace, "{one} {other}");
            }
        }
    }
}
