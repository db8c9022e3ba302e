//! A sidecar's XML as a tree that knows the bytes of everything in it, so that one value can be exchanged and nothing else touched.
//!
//! Reading for facts forgives; reading in order to write must not. What is not well-formed XML with namespaces is refused here, and so is
//! what another program may read differently: document types, entities of its own, other encodings than it says. `quick-xml` finds the
//! pieces; what it lets pass is checked on top.

use std::{ops::Range, rc::Rc};

use quick_xml::{Reader, events::Event};

use super::Refusal;

/// Deeper documents are hostile: real ones stay under twenty.
const DEEPEST: usize = 64;
/// Longest document edited, in bytes; the same as is read for facts.
const LONGEST_BYTES: usize = 8 << 20;

/// The namespace of `xml:lang`.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A well-formed document.
#[derive(Debug)]
pub(super) struct Document<'t> {
    pub(super) text: &'t str,
    pub(super) root: Element,
}

/// A name with its namespace; both empty strings where there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) local: String,
}

impl Name {
    pub(super) fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }
}

/// An element and where its parts lie in the text.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: Name,
    /// As written, with its prefix.
    pub(super) written_name: String,
    /// All of it, from `<` to the last `>`.
    pub(super) span: Range<usize>,
    /// Its start tag, or all of it when it closes itself.
    pub(super) start_tag: Range<usize>,
    /// `None` when it closes itself.
    pub(super) end_tag: Option<Range<usize>>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Node>,
    /// Prefixes that may be used in it: (prefix, address), innermost last.
    pub(super) scope: Rc<Vec<(String, String)>>,
}

/// An attribute that declares no namespace.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: Name,
    /// Without entities, white space as the standard wants it.
    pub(super) value: String,
    /// From the blank before it to its closing quote.
    pub(super) span: Range<usize>,
    /// Between the quotes.
    pub(super) value_span: Range<usize>,
    pub(super) quote: char,
}

/// What an element holds.
#[derive(Debug)]
pub(super) enum Node {
    Element(Element),
    /// Characters, a reference, or a CDATA section.
    Text {
        value: String,
        span: Range<usize>,
    },
    /// A comment or a processing instruction.
    Aside {
        span: Range<usize>,
    },
}

impl Element {
    pub(super) fn elements(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text { .. } | Node::Aside { .. } => None,
        })
    }

    /// The characters directly in it.
    pub(super) fn text(&self) -> String {
        let pieces = self.children.iter().filter_map(|node| match node {
            Node::Text { value, .. } => Some(value.as_str()),
            Node::Element(_) | Node::Aside { .. } => None,
        });
        pieces.collect()
    }

    /// Whether the characters directly in it, if any, are blanks.
    pub(super) fn has_only_blanks(&self) -> bool {
        self.text().chars().all(is_blank)
    }

    pub(super) fn attribute(&self, namespace: &str, local: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name.is(namespace, local))
    }

    /// The address a prefix stands for here.
    pub(super) fn namespace_of(&self, prefix: &str) -> Option<&str> {
        self.scope.iter().rev().find(|(known, _)| known == prefix).map(|(_, address)| address.as_str())
    }

    /// A prefix that stands for an address here; innermost first.
    pub(super) fn prefix_of(&self, address: &str) -> Option<&str> {
        let candidates = self.scope.iter().rev().filter(|(_, known)| known == address).map(|(prefix, _)| prefix.as_str());
        // An inner declaration may have given the prefix to somebody else.
        candidates.filter(|prefix| !prefix.is_empty()).find(|prefix| self.namespace_of(prefix) == Some(address))
    }

    /// Where its content begins; for one that closes itself, where it would.
    pub(super) fn inside(&self) -> Range<usize> {
        match &self.end_tag {
            Some(end_tag) => self.start_tag.end..end_tag.start,
            None => self.start_tag.end..self.start_tag.end,
        }
    }
}

/// A blank in the sense of XML.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Whether XML can hold the character at all.
pub(super) fn is_xml_character(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

impl<'t> Document<'t> {
    /// Reads the text of a whole document.
    pub(super) fn parse(text: &'t str) -> Result<Self, Refusal> {
        if text.len() > LONGEST_BYTES {
            return Err(Refusal::not_xml(format!("it is {} MB long", text.len() >> 20)));
        }
        if let Some((at, character)) = text.char_indices().find(|(_, character)| !is_xml_character(*character)) {
            return Err(Refusal::not_xml(format!("character U+{:04X} at byte {at} may not be in XML", u32::from(character))));
        }
        Building { text, open: Vec::new(), root: None }.run()
    }

    /// The text of a part.
    pub(super) fn at(&self, span: &Range<usize>) -> &'t str {
        &self.text[span.clone()]
    }
}

struct Building<'t> {
    text: &'t str,
    open: Vec<Element>,
    root: Option<Element>,
}

impl<'t> Building<'t> {
    fn run(mut self) -> Result<Document<'t>, Refusal> {
        let mut reader = Reader::from_str(self.text);
        reader.config_mut().check_comments = true;
        let mut from = 0;
        loop {
            let event = reader.read_event().map_err(|error| Refusal::not_xml(format!("{error} at byte {}", reader.error_position())))?;
            let to = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let span = from..to;
            let piece = self.text.get(span.clone()).ok_or_else(|| Refusal::not_xml("it cannot be taken apart".to_owned()))?;
            from = to;
            match event {
                Event::Start(_) => {
                    let element = self.start(piece, span)?;
                    self.open.push(element);
                }
                Event::Empty(_) => {
                    let element = self.start(piece, span)?;
                    self.finished(element)?;
                }
                Event::End(_) => {
                    let mut element = self.open.pop().ok_or_else(|| Refusal::not_xml(format!("`{piece}` closes nothing")))?;
                    element.span.end = span.end;
                    element.end_tag = Some(span);
                    self.finished(element)?;
                }
                Event::Text(_) => {
                    if piece.contains("]]>") {
                        return Err(Refusal::not_xml("`]]>` stands where it may not".to_owned()));
                    }
                    self.text_node(lines_joined(piece), span)?;
                }
                Event::GeneralRef(_) => {
                    let value = decoded(piece)?;
                    self.text_node(value, span)?;
                }
                Event::CData(_) => {
                    let inner = piece.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>"));
                    let inner = inner.ok_or_else(|| Refusal::not_xml("a CDATA section is broken".to_owned()))?;
                    self.text_node(lines_joined(inner), span)?;
                }
                Event::Comment(_) => self.aside(span),
                Event::PI(_) => {
                    let target = piece[2..].split(|next: char| is_blank(next) || next == '?').next().unwrap_or_default();
                    if target.eq_ignore_ascii_case("xml") {
                        return Err(Refusal::not_xml("an XML declaration stands after the start".to_owned()));
                    }
                    self.aside(span);
                }
                Event::Decl(_) => check_declaration(piece, span.start)?,
                Event::DocType(_) => return Err(Refusal::not_xml("it has a document type, whose entities could mean anything".to_owned())),
                Event::Eof => break,
            }
        }
        if let Some(open) = self.open.last() {
            return Err(Refusal::not_xml(format!("it ends before `{}` is closed: cut off?", open.written_name)));
        }
        let root = self.root.ok_or_else(|| Refusal::not_xml("there is no element in it".to_owned()))?;
        Ok(Document { text: self.text, root })
    }

    fn finished(&mut self, element: Element) -> Result<(), Refusal> {
        match (self.open.last_mut(), &self.root) {
            (Some(parent), _) => parent.children.push(Node::Element(element)),
            (None, None) => self.root = Some(element),
            (None, Some(_)) => return Err(Refusal::not_xml("there is more than one document in it".to_owned())),
        }
        Ok(())
    }

    fn text_node(&mut self, value: String, span: Range<usize>) -> Result<(), Refusal> {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Text { value, span }),
            None if value.chars().all(is_blank) => {}
            None => return Err(Refusal::not_xml(format!("text stands outside the document, at byte {}", span.start))),
        }
        Ok(())
    }

    fn aside(&mut self, span: Range<usize>) {
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(Node::Aside { span });
        }
    }

    fn start(&self, tag: &str, span: Range<usize>) -> Result<Element, Refusal> {
        if self.open.len() >= DEEPEST {
            return Err(Refusal::not_xml(format!("elements are nested deeper than {DEEPEST}")));
        }
        let (written_name, written) = take_tag_apart(tag, span.start)?;
        let mut scope =
            self.open.last().map_or_else(|| Rc::new(vec![("xml".to_owned(), XML.to_owned())]), |parent| Rc::clone(&parent.scope));
        for attribute in &written {
            let prefix = match attribute.name.split_once(':') {
                Some(("xmlns", prefix)) => prefix,
                None if attribute.name == "xmlns" => "",
                _ => continue,
            };
            let odd =
                prefix == "xmlns" || (prefix == "xml") != (attribute.value == XML) || (attribute.value.is_empty() && !prefix.is_empty());
            if odd {
                return Err(Refusal::not_xml(format!("`{}` may not be declared so", attribute.name)));
            }
            Rc::make_mut(&mut scope).push((prefix.to_owned(), attribute.value.clone()));
        }
        let look_up = |prefix: &str| scope.iter().rev().find(|(known, _)| known == prefix).map(|(_, address)| address.clone());
        let resolve = |written: &str, is_element: bool| match written.split_once(':') {
            Some((prefix, local)) => match look_up(prefix) {
                Some(namespace) => Ok(Name { namespace, local: local.to_owned() }),
                None => Err(Refusal::not_xml(format!("the prefix of `{written}` is not declared"))),
            },
            None => {
                let namespace = if is_element { look_up("").unwrap_or_default() } else { String::new() };
                Ok(Name { namespace, local: written.to_owned() })
            }
        };
        let name = resolve(&written_name, true)?;
        let mut attributes: Vec<Attribute> = Vec::with_capacity(written.len());
        for (index, attribute) in written.iter().enumerate() {
            if written[..index].iter().any(|other| other.name == attribute.name) {
                return Err(Refusal::not_xml(format!("`{}` stands twice in one tag", attribute.name)));
            }
            if attribute.name == "xmlns" || attribute.name.starts_with("xmlns:") {
                continue;
            }
            let name = resolve(&attribute.name, false)?;
            if attributes.iter().any(|other| other.name == name) {
                return Err(Refusal::not_xml(format!("`{}` stands twice in one tag", attribute.name)));
            }
            attributes.push(Attribute {
                name,
                value: attribute.value.clone(),
                span: attribute.span.clone(),
                value_span: attribute.value_span.clone(),
                quote: attribute.quote,
            });
        }
        let (start_tag, end_tag, children) = (span.clone(), None, Vec::new());
        Ok(Element { name, written_name, span, start_tag, end_tag, attributes, children, scope })
    }
}

/// An attribute as it stands in a tag; declarations of namespaces included.
struct Written {
    name: String,
    value: String,
    span: Range<usize>,
    value_span: Range<usize>,
    quote: char,
}

/// Takes a start tag apart: its name, and its attributes with their place in the document, which the tag begins at `offset` of.
fn take_tag_apart(tag: &str, offset: usize) -> Result<(String, Vec<Written>), Refusal> {
    let broken = || Refusal::not_xml(format!("the tag at byte {offset} is broken"));
    let inner = tag.strip_prefix('<').and_then(|tag| tag.strip_suffix('>')).ok_or_else(broken)?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let end = inner.find(is_blank).unwrap_or(inner.len());
    let name = &inner[..end];
    check_name(name)?;
    let mut written = Vec::new();
    let mut at = end;
    loop {
        let rest = &inner[at..];
        let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
        if blanks == rest.len() {
            break;
        }
        if blanks == 0 {
            return Err(broken());
        }
        let (name_from, from) = (at + blanks, at);
        let name_length = inner[name_from..].find(|next: char| is_blank(next) || next == '=').ok_or_else(broken)?;
        let name = &inner[name_from..name_from + name_length];
        check_name(name)?;
        let after_name = inner[name_from + name_length..].trim_start_matches(is_blank);
        let after_equals = after_name.strip_prefix('=').ok_or_else(broken)?.trim_start_matches(is_blank);
        let quote = after_equals.chars().next().filter(|quote| matches!(quote, '"' | '\'')).ok_or_else(broken)?;
        let value_from = inner.len() - after_equals.len() + 1;
        let value_length = inner[value_from..].find(quote).ok_or_else(broken)?;
        let raw = &inner[value_from..value_from + value_length];
        if raw.contains('<') {
            return Err(broken());
        }
        at = value_from + value_length + 1;
        // One more for the `<` that `inner` lacks.
        let place = |from: usize, to: usize| offset + 1 + from..offset + 1 + to;
        written.push(Written {
            name: name.to_owned(),
            value: decoded(&raw.replace("\r\n", " ").replace(['\t', '\n', '\r'], " "))?,
            span: place(from, at),
            value_span: place(value_from, value_from + value_length),
            quote,
        });
    }
    Ok((name.to_owned(), written))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let is_start = |letter: char| letter.is_alphabetic() || letter == '_' || (letter > '\u{7f}' && !letter.is_whitespace());
    let is_part = |letter: char| is_start(letter) || letter.is_ascii_digit() || matches!(letter, '-' | '.');
    let is_plain = |part: &str| part.chars().next().is_some_and(is_start) && part.chars().all(is_part);
    let good = match name.split_once(':') {
        Some((prefix, local)) => is_plain(prefix) && is_plain(local),
        None => is_plain(name),
    };
    if good { Ok(()) } else { Err(Refusal::not_xml(format!("`{name}` is no name"))) }
}

/// Text with its references put in; only those that every reader of XML knows.
fn decoded(raw: &str) -> Result<String, Refusal> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        let end = rest[at..].find(';').map(|length| at + length).ok_or_else(|| Refusal::not_xml("an `&` begins nothing".to_owned()))?;
        let name = &rest[at + 1..end];
        let character = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => numbered_character(name),
        };
        let character = character.ok_or_else(|| Refusal::not_xml(format!("nobody says what `&{name};` is")))?;
        text.push(character);
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    Ok(text)
}

fn numbered_character(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    let plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let code = plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()?;
    char::from_u32(code).filter(|character| is_xml_character(*character))
}

/// Ends of lines as the standard wants them.
fn lines_joined(piece: &str) -> String {
    if piece.contains('\r') { piece.replace("\r\n", "\n").replace('\r', "\n") } else { piece.to_owned() }
}

/// The declaration may stand at the very start, and say nothing but version 1.0 and an encoding; whether that is the right one is checked
/// where the bytes are decoded.
fn check_declaration(piece: &str, at: usize) -> Result<(), Refusal> {
    if at != 0 {
        return Err(Refusal::not_xml("an XML declaration stands after the start".to_owned()));
    }
    match declared(piece, "version") {
        Some("1.0") => Ok(()),
        _ => Err(Refusal::not_xml("it is not XML 1.0".to_owned())),
    }
}

/// A word of the XML declaration, such as the encoding.
pub(super) fn declared<'t>(declaration: &'t str, word: &str) -> Option<&'t str> {
    let declaration = declaration.strip_prefix("<?xml")?.split("?>").next()?;
    let after = &declaration[declaration.find(word)? + word.len()..];
    let value = after.trim_start_matches(is_blank).strip_prefix('=')?.trim_start_matches(is_blank);
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match Document::parse(text) {
            Ok(document) => panic!("{text} was taken for {document:?}"),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn every_part_knows_its_bytes() {
        let text = "<?xml version=\"1.0\"?>\n<!-- x --><a:b xmlns:a='u' a:c = 'd &amp; \n e' f=\"&#x41;\">te<![CDATA[x&]]>t&lt;<c/><?p q?></a:b>\n";
        let document = Document::parse(text).unwrap();
        let root = &document.root;
        assert!(root.name.is("u", "b"));
        assert_eq!(document.at(&root.start_tag), "<a:b xmlns:a='u' a:c = 'd &amp; \n e' f=\"&#x41;\">");
        assert_eq!(document.at(root.end_tag.as_ref().unwrap()), "</a:b>");
        let attribute = root.attribute("u", "c").unwrap();
        assert_eq!((attribute.value.as_str(), document.at(&attribute.value_span)), ("d &   e", "d &amp; \n e"));
        assert_eq!(document.at(&attribute.span), " a:c = 'd &amp; \n e'");
        assert_eq!(root.attribute("", "f").unwrap().value, "A");
        assert_eq!(root.text(), "tex&t<");
        assert_eq!(root.elements().next().unwrap().name, Name { namespace: String::new(), local: "c".into() });
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "words",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>words",
            "<a b='1' b='2'/>",
            "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
            "<a b=1/>",
            "<a b='<'/>",
            "<a b='1'c='2'/>",
            "<p:a/>",
            "<a>&b;</a>",
            "<a>&</a>",
            "<a>&#0;</a>",
            "<a>\u{1}</a>",
            "<a>]]></a>",
            "<1a/>",
            "<a:b:c xmlns:a='u'/>",
            "<!DOCTYPE a><a/>",
            " <?xml version='1.0'?><a/>",
            "<?xml version='1.1'?><a/>",
            "<a><?xml version='1.0'?></a>",
            "<a xmlns:xmlns='u'/>",
            "<a><!-- -- --></a>",
            "<a></a",
        ] {
            refused(text);
        }
        assert!(refused("<a><b>").contains("cut off"));
        assert!(refused(&"<a>".repeat(100)).contains("nested"));
    }

    #[test]
    fn inner_declarations_hide_outer_ones() {
        let document = Document::parse("<a xmlns:p='u' xmlns:q='v'><b xmlns:p='w'/></a>").unwrap();
        let inner = document.root.elements().next().unwrap();
        assert_eq!((inner.prefix_of("u"), inner.prefix_of("v"), inner.prefix_of("w")), (None, Some("q"), Some("p")));
        assert_eq!(document.root.prefix_of("u"), Some("p"));
    }
}
