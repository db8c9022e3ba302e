//! Writing what people say into XMP sidecars, without losing anything that is not ours.
//!
//! A sidecar belongs to many programs: darktable keeps its history in it, Lightroom its masks, digiKam its tags. So a sidecar is never
//! written anew but edited as text: the properties concerned are exchanged where they stand, in whatever form, and every other byte stays.
//! exiv2 (and rexiv2 on it) is not used for it: it opens what it cannot decode as empty, so that saving wipes it, and it re-formats places,
//! drops time zones, and truncates the file before it writes.
//!
//! ```text
//! bytes → encoding → document (strict XML with places) → packet (strict XMP) → fields (what it says)
//! value → fields (which properties) → patch (the knife) → read back: the value is there, all else is the same → bytes
//! ```
//!
//! What is not fully understood is refused with the reason, and the file stays as it is. [`edit`] does no I/O; [`mod@file`] carries its bytes
//! to the disk, and is the only code of hm that writes into a vault; [`name`] knows which file it is.
//!
//! # Source
//! XMP specification parts 1 and 3 (RDF as XMP uses it); <https://www.w3.org/TR/rdf-syntax-grammar/>.

mod document;
mod encoding;
mod fields;
pub mod file;
pub mod name;
mod notation;
mod packet;
mod patch;
mod properties;
mod same;

use packet::Packet;
use patch::Wanted;
use properties::Property;

use crate::models::edit::{Field, Value};

/// Why a sidecar is not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no text that can be written back exactly.
    #[error("the sidecar cannot be edited: {0}")]
    Encoding(String),
    /// Cut off, damaged, or something else than XML.
    #[error("the sidecar is not readable XML: {0}")]
    NotXml(String),
    /// XML, but not XMP, or with more of RDF than XMP has.
    #[error("the sidecar is not plain XMP: {0}")]
    NotXmp(String),
    /// A property to be changed stands there in a way that is not understood.
    #[error("`{property}` of the sidecar is not understood: {reason}")]
    Ambiguous {
        /// The property, with its usual prefix.
        property: String,
        /// What is odd about it.
        reason: String,
    },
    /// The value holds what XML cannot.
    #[error("`{field}` cannot be written: {reason}")]
    Unwritable {
        /// The field.
        field: Field,
        /// Which part of the value.
        reason: String,
    },
    /// The edited text does not say what it should: a mistake of hm's, found before anything was written.
    #[error("the edited sidecar would have changed {0}: nothing was written")]
    Unfaithful(String),
}

impl Refusal {
    fn not_xml(reason: String) -> Self {
        Self::NotXml(reason)
    }

    fn not_xmp(reason: String) -> Self {
        Self::NotXmp(reason)
    }
}

/// The packet that a new sidecar starts from.
const SKELETON: &str = concat!(
    "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n",
    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"hm ",
    env!("CARGO_PKG_VERSION"),
    "\">\n",
    " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n",
    "  <rdf:Description rdf:about=\"\">\n",
    "  </rdf:Description>\n",
    " </rdf:RDF>\n",
    "</x:xmpmeta>\n",
    "<?xpacket end=\"w\"?>\n",
);

/// Edits a sidecar: `existing` is all its bytes, or `None` when there is none yet. Returns the new bytes, or `None` when nothing is to be
/// written: the sidecar says all this already, or there is none and nothing to say.
///
/// # Errors
/// [`Refusal`] when the sidecar is not fully understood; it must then stay as it is.
pub fn edit(existing: Option<&[u8]>, changes: &[Value]) -> Result<Option<Vec<u8>>, Refusal> {
    edit_beside(existing, changes, &[])
}

/// As [`edit`], beside a picture that itself says something about the fields `in_picture`: where a change takes that away, the sidecar
/// comes to say that there is none.
///
/// # Errors
/// As [`edit`].
pub fn edit_beside(existing: Option<&[u8]>, changes: &[Value], in_picture: &[Field]) -> Result<Option<Vec<u8>>, Refusal> {
    let existing = existing.filter(|bytes| !bytes.is_empty());
    let decoded = encoding::decode(existing.unwrap_or(SKELETON.as_bytes()))?;
    let mut text = decoded.text.clone().into_owned();
    let mut changed: Vec<&'static Property> = Vec::new();
    for value in changes {
        check_characters(value)?;
        let targets = fields::targets(&Packet::parse(&text)?, value, in_picture.contains(&value.field()))?;
        for (property, target) in targets {
            let wanted = match &target {
                fields::Target::Simple(text) => Wanted::Simple(text.as_deref()),
                fields::Target::Items(items) => Wanted::Items(items),
                fields::Target::DefaultLanguage(text) => Wanted::DefaultLanguage(text.as_deref()),
            };
            text = patch::with(&Packet::parse(&text)?, property, &wanted)?;
            changed.push(property);
        }
    }
    if text == decoded.text {
        // Also what needs no change must be understood: its reader might see something else.
        Packet::parse(&text)?;
        return Ok(None);
    }
    check_result(&decoded.text, &text, changes, &changed)?;
    Ok(Some(decoded.encode(&text)))
}

/// What a sidecar says about a field; `None` when it says nothing. `written` is what hm wrote there last, where it did: it tells which of
/// several copies of one fact is the news.
///
/// # Errors
/// [`Refusal`] when the sidecar is not fully understood.
pub fn read(content: &[u8], field: Field, written: Option<&Value>) -> Result<Option<Value>, Refusal> {
    let decoded = encoding::decode(content)?;
    fields::read(&Packet::parse(&decoded.text)?, field, written)
}

fn check_result(before: &str, after: &str, changes: &[Value], changed: &[&Property]) -> Result<(), Refusal> {
    let (before, after) = (Packet::parse(before)?, Packet::parse(after).map_err(|refusal| Refusal::Unfaithful(refusal.to_string()))?);
    for (index, value) in changes.iter().enumerate() {
        let field = value.field();
        if changes[index + 1..].iter().any(|later| later.field() == field) {
            continue;
        }
        let read = fields::read(&after, field, None).map_err(|refusal| Refusal::Unfaithful(refusal.to_string()))?;
        let says_it = match (&read, silence(field)) {
            (Some(read), _) => read.says_same(value),
            (None, Some(silence)) => silence.says_same(value),
            (None, None) => false,
        };
        if !says_it {
            return Err(Refusal::Unfaithful(format!("`{field}` to something else")));
        }
    }
    same::check(&before, &after, changed).map_err(Refusal::Unfaithful)
}

/// What a sidecar says that does not mention a field; a time is never taken away.
pub fn silence(field: Field) -> Option<Value> {
    Some(match field {
        Field::Rating => Value::Rating(None),
        Field::Pick => Value::Pick(crate::models::edit::Pick::None),
        Field::ColorLabel => Value::ColorLabel(crate::models::edit::ColorLabel::None),
        Field::Title => Value::Title(None),
        Field::Description => Value::Description(None),
        Field::Keywords => Value::Keywords(crate::models::edit::Keywords::default()),
        Field::Gps => Value::Gps(None),
        Field::CapturedAt => return None,
        Field::Place => Value::Place(crate::models::edit::Place::default()),
    })
}

fn check_characters(value: &Value) -> Result<(), Refusal> {
    let texts: Vec<&str> = match value {
        Value::Title(text) | Value::Description(text) => text.iter().map(String::as_str).collect(),
        Value::Keywords(keywords) => keywords.flat().iter().map(String::as_str).collect(),
        Value::Place(place) => {
            [&place.city, &place.state, &place.country, &place.country_code].into_iter().flatten().map(String::as_str).collect()
        }
        Value::Rating(_) | Value::Pick(_) | Value::ColorLabel(_) | Value::Gps(_) | Value::CapturedAt(_) => Vec::new(),
    };
    let bad = texts.iter().flat_map(|text| text.chars()).find(|character| !document::is_xml_character(*character));
    match bad {
        Some(character) => {
            Err(Refusal::Unwritable { field: value.field(), reason: format!("U+{:04X} may not be in XML", u32::from(character)) })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
