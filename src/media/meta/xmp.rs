//! XMP packets and sidecars: the words, times and places that people and their programs wrote.
//!
//! Read here and not through exiv2, whose XMP reader silently finds nothing when two threads use it. Namespaces count by their address,
//! not their prefix; entities other than XML's own are never expanded; depth and amounts are bounded.
//!
//! # Source
//! XMP specification part 1; the names are next door.

use std::borrow::Cow;

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use quick_xml::{
    events::{BytesStart, Event},
    name::QName,
    reader::NsReader,
};

pub(super) use super::xmp_names::Key;
use super::{
    text,
    xmp_names::{Ns, key},
};

/// Deeper packets are hostile: real ones stay under twenty.
const DEEPEST: usize = 64;
/// More values than this are not read.
const MOST_VALUES: usize = 10_000;
/// Packets longer than this are not read: they hold masks and depth maps, not words.
pub(super) const LONGEST_PACKET_BYTES: usize = 8 << 20;

/// The known properties of a packet, in its order.
#[derive(Debug, Default)]
pub(super) struct XmpTags {
    values: Vec<Value>,
    /// Properties that are there and hold nothing.
    empty: Vec<Key>,
}

#[derive(Debug)]
struct Value {
    key: Key,
    /// The text is in the language that stands for all.
    default_language: bool,
    text: String,
}

impl XmpTags {
    /// The first value, or that of `x-default` among languages.
    pub(super) fn first(&self, key: Key) -> Option<&str> {
        let mut all = self.values.iter().filter(|value| value.key == key);
        let first = all.clone().next();
        all.find(|value| value.default_language).or(first).map(|value| value.text.as_str())
    }

    /// All values, as of a bag.
    pub(super) fn all(&self, key: Key) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |value| value.key == key).map(|value| value.text.as_str())
    }

    /// Whether the property is there, and holds nothing.
    pub(super) fn is_empty(&self, key: Key) -> bool {
        self.empty.contains(&key) && self.first(key).is_none()
    }

    /// The first value as a number; XMP writes fractions as `28/10`.
    pub(super) fn number(&self, key: Key) -> Option<f64> {
        let text = self.first(key)?;
        let number = match text.split_once('/') {
            Some((above, below)) => above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?,
            None => text.trim_start_matches('+').parse().ok()?,
        };
        number.is_finite().then_some(number)
    }

    /// Adds the properties of a second packet.
    pub(super) fn extend(&mut self, more: Self) {
        self.values.extend(more.values);
        self.empty.extend(more.empty);
    }

    /// Adds a value, cleaned.
    pub(super) fn push(&mut self, key: Key, text: &str, default_language: bool) {
        if let Some(text) = text::clean(text)
            && self.values.len() < MOST_VALUES
        {
            self.values.push(Value { key, default_language, text });
        }
    }
}

/// Reads a packet or sidecar. With an error, what stood before the damage is in the tags.
pub(super) fn read(packet: &[u8]) -> (XmpTags, Option<String>) {
    let mut walk = Walk::default();
    if packet.len() > LONGEST_PACKET_BYTES {
        return (walk.tags, Some(format!("{} MB of XMP are too much", packet.len() >> 20)));
    }
    let text = decode(packet);
    let text = text.trim_start_matches(|character: char| character != '<').trim_end_matches(['\0', ' ', '\n', '\r', '\t']);
    let error = walk.run(text).err();
    let error = error.or_else(|| (!walk.seen_rdf).then(|| "no RDF in it".to_owned()));
    (walk.tags, error)
}

/// The text of a packet: UTF-8, or UTF-16 by its mark or by its first character being `<`.
fn decode(packet: &[u8]) -> Cow<'_, str> {
    match packet {
        [0xff, 0xfe, rest @ ..] => UTF_16LE.decode_without_bom_handling(rest).0,
        [0xfe, 0xff, rest @ ..] => UTF_16BE.decode_without_bom_handling(rest).0,
        [b'<', 0, ..] => UTF_16LE.decode_without_bom_handling(packet).0,
        [0, b'<', ..] => UTF_16BE.decode_without_bom_handling(packet).0,
        _ => std::str::from_utf8(packet).map_or_else(|_| WINDOWS_1252.decode(packet).0, Cow::Borrowed),
    }
}

/// What an open element is to us.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Outside,
    Rdf,
    Description,
    Property { key: Option<Key>, filled: bool },
    Container { key: Option<Key> },
    Item { key: Option<Key>, default_language: bool },
    Ignored,
}

#[derive(Default)]
struct Walk {
    tags: XmpTags,
    open: Vec<Place>,
    text: String,
    seen_rdf: bool,
    /// The property being read holds what is not read, and is therefore not empty.
    holds_more: bool,
}

impl Walk {
    fn run(&mut self, text: &str) -> Result<(), String> {
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_dangling_amp = true;
        config.allow_unmatched_ends = true;
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    if self.open.len() >= DEEPEST {
                        return Err(format!("elements are nested deeper than {DEEPEST}"));
                    }
                    let place = self.enter(&reader, &start);
                    self.open.push(place);
                    self.text.clear();
                }
                Event::Empty(start) => {
                    let place = self.enter(&reader, &start);
                    self.text.clear();
                    self.leave(place);
                }
                Event::End(_) => {
                    if let Some(place) = self.open.pop() {
                        self.leave(place);
                    }
                }
                Event::Text(piece) => self.add(&piece.xml10_content()),
                Event::CData(piece) => self.add(&piece.xml10_content()),
                Event::GeneralRef(name) => {
                    let character = name.resolve_char_ref().ok().flatten();
                    let named = || quick_xml::escape::resolve_xml_entity(&name).map(str::to_owned);
                    if let Some(text) = character.map(String::from).or_else(named) {
                        self.add(&text);
                    }
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        if self.open.is_empty() { Ok(()) } else { Err("it ends before its last element is closed".to_owned()) }
    }

    fn add(&mut self, piece: &str) {
        let wanted = matches!(self.open.last(), Some(Place::Property { key: Some(_), .. } | Place::Item { key: Some(_), .. }));
        if wanted && self.text.len() < 1 << 16 {
            self.text.push_str(piece);
        }
    }

    fn enter(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Place {
        let (namespace, local) = element(reader, start.name());
        match self.open.last().copied().unwrap_or(Place::Outside) {
            Place::Outside if namespace == Some(Ns::Rdf) && local == "RDF" => {
                self.seen_rdf = true;
                Place::Rdf
            }
            Place::Outside => Place::Outside,
            Place::Rdf => {
                self.attributes_as_properties(reader, start);
                Place::Description
            }
            Place::Description => self.property(reader, start, namespace.and_then(|namespace| key(namespace, local))),
            Place::Property { key, .. } if namespace == Some(Ns::Rdf) && matches!(local, "Bag" | "Seq" | "Alt") => Place::Container { key },
            Place::Container { key } if namespace == Some(Ns::Rdf) && local == "li" => {
                let language = key.and_then(|_| attribute(reader, start, Ns::Xml, "lang"));
                Place::Item { key, default_language: language.is_some_and(|language| language.eq_ignore_ascii_case("x-default")) }
            }
            Place::Property { .. } | Place::Container { .. } | Place::Item { .. } | Place::Ignored => {
                self.holds_more = true;
                Place::Ignored
            }
        }
    }

    fn property(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>, key: Option<Key>) -> Place {
        self.holds_more = false;
        let Some(known) = key else { return Place::Property { key, filled: false } };
        if attribute(reader, start, Ns::Rdf, "parseType").is_some_and(|kind| kind == "Resource") {
            return Place::Ignored;
        }
        let resource = attribute(reader, start, Ns::Rdf, "resource");
        if let Some(text) = &resource {
            self.tags.push(known, text, false);
        }
        Place::Property { key, filled: resource.is_some() }
    }

    fn leave(&mut self, place: Place) {
        match place {
            Place::Item { key: Some(key), default_language } => self.tags.push(key, &self.text, default_language),
            Place::Property { key: Some(key), filled } => {
                if !filled {
                    self.tags.push(key, &self.text, false);
                }
                if !self.holds_more && self.tags.first(key).is_none() && self.tags.empty.len() < MOST_VALUES {
                    self.tags.empty.push(key);
                }
            }
            Place::Container { .. } => {
                // The blanks after the container are not the property's text.
                if let Some(Place::Property { filled, .. }) = self.open.last_mut() {
                    *filled = true;
                }
            }
            _ => {}
        }
        self.text.clear();
    }

    fn attributes_as_properties(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) {
        for attribute in start.attributes().with_checks(false).flatten() {
            let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
            let known = Ns::resolved(&namespace).and_then(|namespace| key(namespace, local.into_inner()));
            if let Some(known) = known {
                let raw: &str = &attribute.value;
                let text = quick_xml::escape::unescape(raw).unwrap_or(Cow::Borrowed(raw));
                self.tags.push(known, &text, false);
                if text.trim().is_empty() && self.tags.empty.len() < MOST_VALUES {
                    self.tags.empty.push(known);
                }
            }
        }
    }
}

fn element<'n>(reader: &NsReader<&[u8]>, name: QName<'n>) -> (Option<Ns>, &'n str) {
    let (namespace, local) = reader.resolver().resolve_element(name);
    (Ns::resolved(&namespace), local.into_inner())
}

/// The value of one attribute.
fn attribute(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, namespace: Ns, local: &str) -> Option<String> {
    start.attributes().with_checks(false).flatten().find_map(|attribute| {
        let (found, name) = reader.resolver().resolve_attribute(attribute.key);
        (name.into_inner() == local && Ns::resolved(&found) == Some(namespace)).then(|| attribute.value.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(body: &str) -> String {
        format!(
            r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:xap="http://ns.adobe.com/xap/1.0/">{body}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"#
        )
    }

    #[test]
    fn attributes_elements_and_containers_are_read_by_namespace() {
        let body = r#"<rdf:Description rdf:about="" xap:Rating="3.0" xmlns:q="http://ns.adobe.com/photoshop/1.0/" q:DateCreated="2010-02-03">
<d:title><rdf:Alt><rdf:li xml:lang="de">Hund &amp; Katze</rdf:li><rdf:li xml:lang="x-default">Dog &#38; cat</rdf:li></rdf:Alt></d:title>
<d:subject><rdf:Bag><rdf:li>one</rdf:li><rdf:li> two </rdf:li><rdf:li/></rdf:Bag></d:subject>
<xap:CreatorTool><![CDATA[a < b]]></xap:CreatorTool></rdf:Description>"#;
        let (tags, error) = read(packet(body).as_bytes());
        assert_eq!(error, None);
        assert_eq!(tags.number(Key::Rating), Some(3.0));
        assert_eq!(tags.first(Key::DateCreated), Some("2010-02-03"));
        assert_eq!(tags.first(Key::Title), Some("Dog & cat"));
        assert_eq!(tags.all(Key::Subject).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(tags.first(Key::CreatorTool), Some("a < b"));
    }

    #[test]
    fn a_property_that_holds_nothing_is_told_from_one_that_is_not_read() {
        let body = r#"<rdf:Description xmlns:q="http://ns.adobe.com/photoshop/1.0/" q:City="" q:State=" ">
<d:title><rdf:Alt><rdf:li xml:lang="x-default"/></rdf:Alt></d:title><d:subject><rdf:Bag/></d:subject>
<d:description><rdf:Alt><rdf:li xml:lang="x-default"/><rdf:li xml:lang="de">Hund</rdf:li></rdf:Alt></d:description>
<q:Country><rdf:Bag><rdf:li><rdf:Description><d:title>inner</d:title></rdf:Description></rdf:li></rdf:Bag></q:Country></rdf:Description>"#;
        let (tags, _) = read(packet(body).as_bytes());
        let empty = [Key::City, Key::State, Key::Title, Key::Subject].map(|key| tags.is_empty(key));
        assert_eq!(empty, [true; 4]);
        let full = [Key::Description, Key::Country, Key::CountryCode, Key::Rating].map(|key| tags.is_empty(key));
        assert_eq!(full, [false; 4]);
    }

    #[test]
    fn what_is_nested_in_structures_is_not_the_pictures() {
        let body = r#"<rdf:Description><d:creator rdf:parseType="Resource"><d:title>inner</d:title></d:creator>
<d:title rdf:parseType="Resource"><d:title>inner</d:title></d:title>
<xap:Thing><rdf:Bag><rdf:li><rdf:Description xap:Rating="5"/></rdf:li></rdf:Bag></xap:Thing></rdf:Description>"#;
        let (tags, _) = read(packet(body).as_bytes());
        assert_eq!((tags.first(Key::Title), tags.first(Key::Rating)), (None, None));
    }

    #[test]
    fn utf16_is_read() {
        let text = packet(r#"<rdf:Description xap:Rating="4"><d:description>Zoé 🚐</d:description></rdf:Description>"#);
        for marked in [true, false] {
            let mut bytes: Vec<u8> = if marked { vec![0xff, 0xfe] } else { Vec::new() };
            bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            let (tags, error) = read(&bytes);
            assert_eq!((tags.first(Key::Description), tags.first(Key::Rating), error), (Some("Zoé 🚐"), Some("4"), None));
        }
    }

    #[test]
    fn a_forgotten_declaration_is_forgiven() {
        let (tags, _) = read(br#"<rdf:RDF><rdf:Description xmp:Rating="2"/></rdf:RDF>"#);
        assert_eq!(tags.first(Key::Rating), Some("2"));
    }

    #[test]
    fn entities_are_not_expanded_and_depth_is_bounded() {
        let bomb = format!(
            r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{}"#,
            packet("<rdf:Description><d:title>&b;!</d:title></rdf:Description>")
        );
        assert_eq!(read(bomb.as_bytes()).0.first(Key::Title), Some("!"));
        let (_, error) = read("<a>".repeat(10_000).as_bytes());
        assert!(error.unwrap().contains("nested"));
    }

    #[test]
    fn damage_leaves_what_stood_before_it() {
        let whole =
            packet(r#"<rdf:Description xap:Rating="4"><d:subject><rdf:Bag><rdf:li>x</rdf:li></rdf:Bag></d:subject></rdf:Description>"#);
        let (tags, error) = read(&whole.as_bytes()[..whole.find("x</rdf:li>").unwrap() + 8]);
        assert_eq!(tags.first(Key::Rating), Some("4"));
        assert!(error.is_some());
        assert!(read(b"just words").1.is_some());
    }
}
