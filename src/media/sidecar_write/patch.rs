//! The knife: exchanges, adds or takes away one property of a packet and leaves every other byte as it is.
//!
//! A value that stands somewhere is exchanged where it stands, in the form it has. A new one goes where its namespace is used already,
//! in the form, with the line ends and the indentation of its neighbours.

use std::ops::Range;

use super::{
    Refusal,
    document::{Element, Node, XML, is_blank},
    packet::{Packet, Statement},
    properties::{Property, RDF, Shape},
};

/// What to make of a property. Empty lists and `None` take it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted<'v> {
    Simple(Option<&'v str>),
    Items(&'v [String]),
    /// The text for everybody; those in other languages stay. Taking it away takes all languages.
    DefaultLanguage(Option<&'v str>),
}

/// Bytes of the document, and what stands there instead.
#[derive(Debug)]
struct Splice {
    range: Range<usize>,
    text: String,
}

fn cut(range: Range<usize>) -> Splice {
    Splice { range, text: String::new() }
}

fn insert(at: usize, text: String) -> Splice {
    Splice { range: at..at, text }
}

/// The document's text with `property` as wanted.
///
/// # Errors
/// When the property stands in a form that is not understood.
pub(super) fn with(packet: &Packet<'_>, property: &Property, wanted: &Wanted<'_>) -> Result<String, Refusal> {
    packet.held(property)?;
    let splices = Knife { packet, property }.splices(wanted);
    Ok(applied(packet.document.text, splices))
}

fn applied(text: &str, mut splices: Vec<Splice>) -> String {
    // Stable: what is inserted at one place keeps its order.
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut result = String::with_capacity(text.len() + splices.iter().map(|splice| splice.text.len()).sum::<usize>());
    let mut at = 0;
    for splice in splices {
        debug_assert!(splice.range.start >= at, "splices overlap");
        result.push_str(&text[at..splice.range.start]);
        result.push_str(&splice.text);
        at = splice.range.end;
    }
    result.push_str(&text[at..]);
    result
}

struct Knife<'p, 't> {
    packet: &'p Packet<'t>,
    property: &'p Property,
}

impl<'p> Knife<'p, '_> {
    fn splices(&self, wanted: &Wanted<'_>) -> Vec<Splice> {
        let statements = self.packet.statements(self.property);
        let takes_away = matches!(wanted, Wanted::Simple(None) | Wanted::DefaultLanguage(None))
            || matches!(wanted, Wanted::Items(items) if items.is_empty());
        // A statement under an address that lacks its slash is read by few: it gives way to a proper one. Windows' own has both.
        let has_both = self.property.namespace.starts_with("http://ns.microsoft.com/");
        let proper = |statement: &Statement<'_>| has_both || statement.namespace() == self.property.namespace;
        let kept = statements.iter().position(|statement| !takes_away && proper(statement) && self.can_stay(*statement));
        let mut splices: Vec<Splice> = statements
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != kept)
            .map(|(_, statement)| self.removal(*statement))
            .collect();
        match kept.map(|index| statements[index]) {
            _ if takes_away => {}
            Some(statement) => splices.extend(self.exchange(statement, wanted)),
            None => splices.extend(self.addition(wanted)),
        }
        splices
    }

    /// Whether the value can be exchanged inside the form the statement has: lists do not fit into attributes.
    fn can_stay(&self, statement: Statement<'_>) -> bool {
        self.property.shape == Shape::Simple || matches!(statement, Statement::Element { .. })
    }

    fn removal(&self, statement: Statement<'p>) -> Splice {
        match statement {
            Statement::Attribute { attribute } => cut(attribute.span.clone()),
            Statement::Element { element } => cut(self.with_blanks_before(&element.span)),
        }
    }

    /// A span and the blanks before it, its own line's end included.
    fn with_blanks_before(&self, span: &Range<usize>) -> Range<usize> {
        let before = &self.packet.document.text[..span.start];
        before.trim_end_matches(is_blank).len()..span.end
    }

    fn exchange(&self, statement: Statement<'p>, wanted: &Wanted<'_>) -> Vec<Splice> {
        match (statement, wanted) {
            (Statement::Attribute { attribute }, Wanted::Simple(Some(value))) if attribute.value != *value => {
                vec![Splice { range: attribute.value_span.clone(), text: in_attribute(value, attribute.quote) }]
            }
            (Statement::Element { element }, Wanted::Simple(Some(value))) if element.text() != *value => self.text_exchange(element, value),
            (Statement::Element { element }, Wanted::Items(items)) => match element.elements().next() {
                Some(container) => self.items_exchange(container, items),
                None => self.filled(element, wanted),
            },
            (Statement::Element { element }, Wanted::DefaultLanguage(Some(value))) => match element.elements().next() {
                Some(container) => self.language_exchange(container, value),
                None => self.filled(element, wanted),
            },
            _ => Vec::new(),
        }
    }

    /// Exchanges the characters of an element; comments between them stay.
    fn text_exchange(&self, element: &Element, value: &str) -> Vec<Splice> {
        let text = in_text(value);
        if element.end_tag.is_none() {
            return vec![Splice { range: self.slash(element), text: format!(">{text}</{}>", element.written_name) }];
        }
        let mut splices = Vec::new();
        let mut text = Some(text);
        for node in &element.children {
            if let Node::Text { span, .. } = node {
                splices.push(Splice { range: span.clone(), text: text.take().unwrap_or_default() });
            }
        }
        splices.extend(text.map(|text| insert(element.start_tag.end, text)));
        splices
    }

    /// The `/>` of an element that closes itself, with the blanks before it.
    fn slash(&self, element: &Element) -> Range<usize> {
        let tag = self.packet.document.at(&element.start_tag);
        let kept = tag.trim_end_matches('>').trim_end_matches('/').trim_end_matches(is_blank).len();
        element.start_tag.start + kept..element.start_tag.end
    }

    fn items_exchange(&self, container: &Element, items: &[String]) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut missing: Vec<&str> = items.iter().map(String::as_str).collect();
        for item in container.elements() {
            let text = item.text();
            if items.contains(&text) {
                missing.retain(|wanted| *wanted != text);
            } else {
                splices.push(cut(self.with_blanks_before(&item.span)));
            }
        }
        let name = sibling_name(container, "li");
        let rendered: Vec<String> = missing.into_iter().map(|item| format!("<{name}>{}</{name}>", in_text(item))).collect();
        if !rendered.is_empty() {
            splices.extend(self.appended(container, &rendered));
        }
        splices
    }

    fn language_exchange(&self, container: &Element, value: &str) -> Vec<Splice> {
        let language = |item: &&Element| item.attribute(XML, "lang").map(|language| language.value.to_ascii_lowercase());
        if let Some(item) = container.elements().find(|item| language(item).as_deref() == Some("x-default")) {
            return if item.text() == value { Vec::new() } else { self.text_exchange(item, value) };
        }
        let mut unmarked = container.elements().filter(|item| language(item).is_none());
        if let (Some(item), None) = (unmarked.next(), unmarked.next()) {
            let mut splices = if item.text() == value { Vec::new() } else { self.text_exchange(item, value) };
            splices.insert(0, insert(item.start_tag.start + 1 + item.written_name.len(), " xml:lang=\"x-default\"".to_owned()));
            return splices;
        }
        let name = sibling_name(container, "li");
        let rendered = format!("<{name} xml:lang=\"x-default\">{}</{name}>", in_text(value));
        match container.elements().next() {
            // The default stands first.
            Some(first) => {
                let layout = self.layout_before(first.span.start);
                vec![insert(first.span.start, format!("{rendered}{}", layout.break_line(0)))]
            }
            None => self.appended(container, &[rendered]),
        }
    }

    /// Puts a container into an element that has none.
    fn filled(&self, element: &Element, wanted: &Wanted<'_>) -> Vec<Splice> {
        let layout = self.layout_before(element.span.start).deeper(self.unit(element));
        let Some(rdf) = self.element_prefix(element, RDF) else { return Vec::new() };
        let mut content = render_container(self.property.shape, &rdf, wanted, &layout);
        // Comments stay.
        for node in &element.children {
            if let Node::Aside { span } = node {
                content.push_str(self.packet.document.at(span));
            }
        }
        let text = format!("{}{content}{}", layout.break_line(0), layout.break_line(-1));
        match &element.end_tag {
            Some(_) => vec![Splice { range: element.inside(), text }],
            None => vec![Splice { range: self.slash(element), text: format!(">{text}</{}>", element.written_name) }],
        }
    }

    fn addition(&self, wanted: &Wanted<'_>) -> Vec<Splice> {
        let Some(description) = self.home() else { return self.first_description(wanted) };
        let mut splices = Vec::new();
        let (prefix, declaration) = self.prefix_in(description);
        if let Some(declaration) = declaration {
            splices.push(insert(end_of_attributes(description), format!("{}{declaration}", self.blank_between_attributes(description))));
        }
        let name = format!("{prefix}:{}", self.property.local);
        let likes_attributes =
            description.end_tag.is_none() || description.attributes.iter().any(|attribute| attribute.name.namespace != RDF);
        match wanted {
            Wanted::Simple(Some(value)) if likes_attributes && !value.contains(['\n', '\t', '\r']) => {
                let blank = self.blank_between_attributes(description);
                splices.push(insert(end_of_attributes(description), format!("{blank}{name}=\"{}\"", in_attribute(value, '"'))));
            }
            _ => {
                let layout = self.layout_of_children(description);
                let rdf = self.element_prefix(description, RDF).unwrap_or_default();
                splices.extend(self.appended(description, &[render_element(&name, self.property.shape, &rdf, wanted, &layout)]));
            }
        }
        splices
    }

    /// A packet without any description gets one.
    fn first_description(&self, wanted: &Wanted<'_>) -> Vec<Splice> {
        let rdf = self.packet.rdf();
        let layout = self.layout_of_children(rdf);
        let inner = layout.deeper(self.unit(rdf));
        let prefix = self.element_prefix(rdf, RDF).unwrap_or_default();
        // `rdf:about` needs a prefix even where elements do without.
        let about =
            rdf.prefix_of(RDF).map_or_else(|| format!("xmlns:rdf=\"{RDF}\" rdf:about=\"\""), |prefix| format!("{prefix}:about=\"\""));
        let own = format!("{}:{}", self.property.prefix, self.property.local);
        let text = format!(
            "<{prefix}Description {about} xmlns:{}=\"{}\">{}{}{}</{prefix}Description>",
            self.property.prefix,
            self.property.namespace,
            inner.break_line(0),
            render_element(&own, self.property.shape, &prefix, wanted, &inner),
            inner.break_line(-1),
        );
        self.appended(rdf, &[text])
    }

    /// The description for a new property: one that uses its namespace, else one that declares it, else the first.
    fn home(&self) -> Option<&'p Element> {
        let ours = |namespace: &str| namespace == self.property.namespace;
        let uses = |description: &&Element| {
            description.elements().any(|element| ours(&element.name.namespace))
                || description.attributes.iter().any(|a| ours(&a.name.namespace))
        };
        let declares = |description: &&Element| description.prefix_of(self.property.namespace).is_some();
        let all = || self.packet.descriptions();
        all().find(uses).or_else(|| all().find(declares)).or_else(|| all().next())
    }

    /// The prefix for the property in a description, and the declaration to add if there is none.
    fn prefix_in(&self, description: &Element) -> (String, Option<String>) {
        if let Some(prefix) = description.prefix_of(self.property.namespace) {
            return (prefix.to_owned(), None);
        }
        let mut prefix = self.property.prefix.to_owned();
        let mut number = 1;
        while description.namespace_of(&prefix).is_some() {
            prefix = format!("{}{number}", self.property.prefix);
            number += 1;
        }
        let declaration = format!("xmlns:{prefix}=\"{}\"", self.property.namespace);
        (prefix, Some(declaration))
    }

    /// What an element's name begins with to be in `namespace` here: `rdf:`, or nothing where that is the default.
    fn element_prefix(&self, element: &Element, namespace: &str) -> Option<String> {
        let named = element.prefix_of(namespace).map(|prefix| format!("{prefix}:"));
        named.or_else(|| (element.namespace_of("") == Some(namespace)).then(String::new))
    }

    /// Adds children after the last one.
    fn appended(&self, parent: &Element, rendered: &[String]) -> Vec<Splice> {
        let layout = self.layout_of_children(parent);
        let text: String = rendered.iter().map(|child| format!("{}{child}", layout.break_line(0))).collect();
        let Some(end_tag) = &parent.end_tag else {
            let text = format!(">{text}{}</{}>", layout.break_line(-1), parent.written_name);
            return vec![Splice { range: self.slash(parent), text }];
        };
        if let Some(last) = parent.elements().next_back() {
            return vec![insert(last.span.end, text)];
        }
        let inside = self.packet.document.at(&parent.inside());
        // After comments that may stand there; the blanks before the end tag go on indenting it.
        let at = parent.start_tag.end + inside.trim_end_matches(is_blank).len();
        let text = if at == end_tag.start { format!("{text}{}", layout.break_line(-1)) } else { text };
        vec![insert(at, text)]
    }

    fn layout_of_children(&self, parent: &Element) -> Layout {
        match parent.elements().next_back() {
            Some(last) => {
                let mut layout = self.layout_before(last.span.start);
                layout.unit = self.unit(parent);
                layout
            }
            None => self.layout_before(parent.span.start).deeper(self.unit(parent)),
        }
    }

    /// The line that a tag stands on, if nothing but blanks stands before it there.
    fn layout_before(&self, at: usize) -> Layout {
        let before = &self.packet.document.text[..at];
        let blanks = &before[before.trim_end_matches(is_blank).len()..];
        let unit = " ".to_owned();
        match blanks.rfind('\n') {
            Some(end) => {
                let newline = if blanks[..end].ends_with('\r') { "\r\n" } else { "\n" };
                Layout { newline, indent: blanks[end + 1..].to_owned(), unit }
            }
            None => Layout { newline: "", indent: String::new(), unit },
        }
    }

    /// By how much this document indents children more than their parents.
    fn unit(&self, parent: &Element) -> String {
        let outer = self.layout_before(parent.span.start);
        let measured = parent.elements().next().and_then(|child| {
            let inner = self.layout_before(child.span.start);
            inner.indent.strip_prefix(outer.indent.as_str()).filter(|unit| !unit.is_empty() && unit.len() <= 8).map(str::to_owned)
        });
        measured.unwrap_or_else(|| " ".to_owned())
    }

    /// What stands between two attributes of a tag.
    fn blank_between_attributes(&self, element: &Element) -> String {
        let tag = self.packet.document.at(&element.start_tag);
        let last = element.attributes.iter().map(|attribute| attribute.span.start).max();
        let Some(last) = last.filter(|start| *start >= element.start_tag.start) else { return " ".to_owned() };
        let blanks: String = tag[last - element.start_tag.start..].chars().take_while(|character| is_blank(*character)).collect();
        blanks
    }
}

/// Where another attribute would stand in a start tag.
fn end_of_attributes(element: &Element) -> usize {
    element.attributes.iter().map(|attribute| attribute.span.end).max().unwrap_or(element.start_tag.start + 1 + element.written_name.len())
}

impl Statement<'_> {
    fn namespace(&self) -> &str {
        match self {
            Statement::Attribute { attribute } => &attribute.name.namespace,
            Statement::Element { element } => &element.name.namespace,
        }
    }
}

/// A name with the prefix that `element` has.
fn sibling_name(element: &Element, local: &str) -> String {
    match element.written_name.split_once(':') {
        Some((prefix, _)) => format!("{prefix}:{local}"),
        None => local.to_owned(),
    }
}

/// Where new lines begin.
#[derive(Debug, Clone)]
struct Layout {
    /// Empty where everything stands on one line.
    newline: &'static str,
    indent: String,
    unit: String,
}

impl Layout {
    fn deeper(&self, unit: String) -> Self {
        Self { newline: self.newline, indent: format!("{}{unit}", self.indent), unit }
    }

    /// A new line, indented by so many units more than this one.
    fn break_line(&self, levels: i8) -> String {
        if self.newline.is_empty() {
            return String::new();
        }
        let indent = match levels {
            0 => self.indent.clone(),
            1.. => format!("{}{}", self.indent, self.unit.repeat(usize::from(levels.unsigned_abs()))),
            _ => self.indent.strip_suffix(self.unit.as_str()).unwrap_or(&self.indent).to_owned(),
        };
        format!("{}{indent}", self.newline)
    }
}

fn render_element(name: &str, shape: Shape, rdf: &str, wanted: &Wanted<'_>, layout: &Layout) -> String {
    match wanted {
        Wanted::Simple(value) => format!("<{name}>{}</{name}>", in_text(value.unwrap_or_default())),
        _ => {
            let inner = layout.deeper(layout.unit.clone());
            format!("<{name}>{}{}{}</{name}>", inner.break_line(0), render_container(shape, rdf, wanted, &inner), layout.break_line(0))
        }
    }
}

/// A container whose own line has `layout`.
fn render_container(shape: Shape, rdf: &str, wanted: &Wanted<'_>, layout: &Layout) -> String {
    let container = match shape {
        Shape::Seq => "Seq",
        Shape::Languages => "Alt",
        Shape::Bag | Shape::Simple => "Bag",
    };
    let items: Vec<String> = match wanted {
        Wanted::Items(items) => items.iter().map(|item| format!("<{rdf}li>{}</{rdf}li>", in_text(item))).collect(),
        Wanted::DefaultLanguage(Some(text)) => vec![format!("<{rdf}li xml:lang=\"x-default\">{}</{rdf}li>", in_text(text))],
        Wanted::DefaultLanguage(None) | Wanted::Simple(_) => Vec::new(),
    };
    let items: String = items.into_iter().map(|item| format!("{}{item}", layout.break_line(1))).collect();
    format!("<{rdf}{container}>{items}{}</{rdf}{container}>", layout.break_line(0))
}

/// Characters of an element. A carriage return would be read as a new line.
fn in_text(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}

/// Characters of an attribute. White space would be read as blanks.
fn in_attribute(value: &str, quote: char) -> String {
    let quoted = if quote == '"' { ("\"", "&quot;") } else { ("'", "&apos;") };
    let text = in_text(value).replace(quoted.0, quoted.1);
    text.replace('\n', "&#10;").replace('\t', "&#9;")
}
