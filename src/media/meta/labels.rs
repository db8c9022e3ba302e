//! Flags, colours and names of places, as the programs of people who curate write them.
//!
//! # Source
//! Adobe XMP (`xmp:Label`, `photoshop:`), IPTC Core (`Iptc4xmpCore:CountryCode`), digiKam's PickLabel and ColorLabel enumerations.

use super::xmp::{Key, XmpTags};
use crate::models::edit::{ColorLabel, Field, Pick, Place};

/// What Lightroom and Bridge call their colours, by language; the words that come with the program, not those of its owner.
const COLOR_NAMES: [(ColorLabel, &[&str]); 5] = [
    (ColorLabel::Red, &["red", "select", "rot", "rouge", "rojo", "rosso", "rood"]),
    (ColorLabel::Yellow, &["yellow", "second", "gelb", "jaune", "amarillo", "giallo", "geel"]),
    (ColorLabel::Green, &["green", "approved", "grün", "vert", "verde", "groen"]),
    (ColorLabel::Blue, &["blue", "review", "blau", "bleu", "azul", "blu", "blauw"]),
    (ColorLabel::Purple, &["purple", "to do", "magenta", "lila", "violet", "pourpre", "púrpura", "morado", "viola", "paars"]),
];

/// The colour that a label is the name of.
pub(in crate::media) fn color_named(label: &str) -> Option<ColorLabel> {
    let label = label.to_lowercase();
    COLOR_NAMES.iter().find(|(_, names)| names.contains(&label.as_str())).map(|(color, _)| *color)
}

/// The colour, where one is named that we know; `none` where somebody took it away.
pub(super) fn color_label(xmp: &XmpTags) -> Option<ColorLabel> {
    let named = xmp.first(Key::Label).and_then(color_named);
    named.or_else(|| match xmp.first(Key::ColorLabel)? {
        "0" => Some(ColorLabel::None),
        "1" => Some(ColorLabel::Red),
        "3" => Some(ColorLabel::Yellow),
        "4" => Some(ColorLabel::Green),
        "5" => Some(ColorLabel::Blue),
        "6" => Some(ColorLabel::Purple),
        _ => None,
    })
}

/// The flag. digiKam's "rejected" is no flag here: see [`is_rejected`].
pub(super) fn pick(xmp: &XmpTags) -> Option<Pick> {
    match xmp.first(Key::PickLabel)? {
        "0" | "1" => Some(Pick::None),
        "2" => Some(Pick::Pending),
        "3" => Some(Pick::Picked),
        _ => None,
    }
}

/// Whether digiKam's flag says "rejected"; a rating says more.
pub(super) fn is_rejected(xmp: &XmpTags) -> bool {
    xmp.first(Key::PickLabel) == Some("1")
}

/// The names of the place.
pub(super) fn place(xmp: &XmpTags) -> Option<Place> {
    let name = |key| xmp.first(key).map(str::to_owned);
    let place = Place { city: name(Key::City), state: name(Key::State), country: name(Key::Country), country_code: name(Key::CountryCode) };
    Some(place).filter(|place| !place.is_empty())
}

/// What a sidecar says is to be none: what is named in hm's own property, and the words and names that are there and hold nothing.
pub(super) fn cleared(xmp: &XmpTags) -> Vec<Field> {
    let named: Vec<Field> = xmp.all(Key::Cleared).filter_map(|name| name.parse().ok()).collect();
    let are_empty = |keys: &[Key]| keys.iter().all(|key| xmp.is_empty(*key));
    let is_cleared = |field: Field| match field {
        Field::Title => are_empty(&[Key::Title]),
        Field::Description => are_empty(&[Key::Description]),
        Field::Keywords => are_empty(&[Key::Subject]),
        Field::Place => are_empty(&[Key::City, Key::State, Key::Country]),
        Field::Rating | Field::Pick | Field::ColorLabel | Field::Gps | Field::CapturedAt => false,
    };
    Field::ALL.iter().copied().filter(|field| named.contains(field) || is_cleared(*field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::meta::xmp;

    fn tags(attributes: &str) -> XmpTags {
        let packet = format!(
            r#"<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"><rdf:Description {attributes}/></rdf:RDF>"#
        );
        xmp::read(packet.as_bytes()).0
    }

    #[test]
    fn a_colour_is_known_by_name_or_number() {
        let color = |attributes| color_label(&tags(attributes));
        assert_eq!(color(r#"xmp:Label="Red""#), Some(ColorLabel::Red));
        assert_eq!(color(r#"xmp:Label="Grün""#), Some(ColorLabel::Green));
        assert_eq!(color(r#"xmp:Label="To Do" digiKam:ColorLabel="1""#), Some(ColorLabel::Purple));
        assert_eq!(color(r#"xmp:Label="for grandma" digiKam:ColorLabel="5""#), Some(ColorLabel::Blue));
        assert_eq!(color(r#"digiKam:ColorLabel="0""#), Some(ColorLabel::None));
        assert_eq!(color(r#"xmp:Label="for grandma""#), None);
    }

    #[test]
    fn digikams_flag_is_a_flag_or_a_rejection() {
        assert_eq!(pick(&tags(r#"digiKam:PickLabel="3""#)), Some(Pick::Picked));
        assert_eq!(pick(&tags(r#"digiKam:PickLabel="2""#)), Some(Pick::Pending));
        assert_eq!(pick(&tags("")), None);
        let rejected = tags(r#"digiKam:PickLabel="1""#);
        assert_eq!((pick(&rejected), is_rejected(&rejected)), (Some(Pick::None), true));
    }

    #[test]
    fn none_is_said_by_name_or_by_an_empty_property() {
        let said = |attributes| cleared(&tags(attributes));
        assert_eq!(said(r#"xmlns:h="urn:hm:sidecar/" h:cleared="gps" dc:title="""#), [Field::Title, Field::Gps]);
        assert_eq!(said(r#"photoshop:City="" photoshop:State="" photoshop:Country="""#), [Field::Place]);
        assert_eq!(said(r#"photoshop:City="" xmlns:h="urn:hm:sidecar/" h:cleared="what comes later""#), []);
    }

    #[test]
    fn a_place_has_names() {
        let named = tags(r#"photoshop:City="Paris" photoshop:Country="France" i:CountryCode="FR""#);
        let expected = Place { city: Some("Paris".into()), state: None, country: Some("France".into()), country_code: Some("FR".into()) };
        assert_eq!(place(&named), Some(expected));
        assert_eq!(place(&tags("")), None);
    }
}
