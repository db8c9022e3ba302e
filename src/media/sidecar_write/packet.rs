//! A document as XMP: which parts of it say something about the picture, and in which of the many forms that RDF allows.
//!
//! XMP is a small part of RDF. Where a document uses the rest of RDF, its meaning to other programs is not known here, and it is refused;
//! so is a property of ours that stands in a form nobody writes.

use super::{
    Refusal,
    document::{Attribute, Document, Element, Node, XML},
    properties::{META, Property, RDF, Shape},
};

/// RDF that XMP leaves out and that changes what other parts mean.
const FOREIGN_RDF: [&str; 5] = ["nodeID", "ID", "bagID", "aboutEach", "aboutEachPrefix"];

/// A document that is XMP.
#[derive(Debug)]
pub(super) struct Packet<'t> {
    pub(super) document: Document<'t>,
}

/// One place that says what a property is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statement<'p> {
    /// As an attribute of a description.
    Attribute { attribute: &'p Attribute },
    /// As an element in a description.
    Element { element: &'p Element },
}

/// What a property holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    Simple(String),
    /// Of a bag or sequence.
    Items(Vec<String>),
    /// Language and text.
    Languages(Vec<(Option<String>, String)>),
}

impl<'t> Packet<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Refusal> {
        let document = Document::parse(text)?;
        let packet = Self { document };
        packet.check()?;
        Ok(packet)
    }

    /// The `rdf:RDF` element.
    pub(super) fn rdf(&self) -> &Element {
        let root = &self.document.root;
        if root.name.is(RDF, "RDF") {
            return root;
        }
        root.elements().find(|element| element.name.is(RDF, "RDF")).unwrap_or(root)
    }

    /// The descriptions of the picture; several are as good as one.
    pub(super) fn descriptions(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.rdf().elements()
    }

    fn check(&self) -> Result<(), Refusal> {
        let root = &self.document.root;
        if !root.name.is(RDF, "RDF") {
            if !(root.name.is(META, "xmpmeta") || root.name.is(META, "xapmeta")) {
                return Err(Refusal::not_xmp(format!("its outermost element is `{}`", root.written_name)));
            }
            match root.elements().filter(|element| element.name.is(RDF, "RDF")).count() {
                1 => {}
                0 => return Err(Refusal::not_xmp("there is no rdf:RDF in it".to_owned())),
                _ => return Err(Refusal::not_xmp("there is more than one rdf:RDF in it".to_owned())),
            }
        }
        check_for_foreign_rdf(root)?;
        let rdf = self.rdf();
        if !rdf.has_only_blanks() {
            return Err(Refusal::not_xmp("there is text in its rdf:RDF".to_owned()));
        }
        let mut subject: Option<&str> = None;
        for description in rdf.elements() {
            if !description.name.is(RDF, "Description") {
                return Err(Refusal::not_xmp(format!("`{}` stands where descriptions stand", description.written_name)));
            }
            if !description.has_only_blanks() {
                return Err(Refusal::not_xmp("there is text in a description".to_owned()));
            }
            // Before 2000 it was written without a prefix.
            let about = description.attribute(RDF, "about").or_else(|| description.attribute("", "about"));
            let about = about.map(|about| about.value.as_str()).filter(|about| !about.is_empty());
            match (subject, about) {
                (Some(one), Some(other)) if one != other => {
                    return Err(Refusal::not_xmp(format!("it speaks of two things, `{one}` and `{other}`")));
                }
                (None, Some(_)) => subject = about,
                _ => {}
            }
        }
        Ok(())
    }

    /// Every place that says what `property` is, in the document's order.
    pub(super) fn statements(&self, property: &Property) -> Vec<Statement<'_>> {
        let mut found = Vec::new();
        for description in self.descriptions() {
            let attributes =
                description.attributes.iter().filter(|attribute| property.is_named(&attribute.name.namespace, &attribute.name.local));
            found.extend(attributes.map(|attribute| Statement::Attribute { attribute }));
            let elements = description.elements().filter(|element| property.is_named(&element.name.namespace, &element.name.local));
            found.extend(elements.map(|element| Statement::Element { element }));
        }
        found
    }

    /// What `property` is; `None` when nothing is said.
    ///
    /// # Errors
    /// When it is said in a form that is not understood, or twice and differently.
    pub(super) fn held(&self, property: &Property) -> Result<Option<Held>, Refusal> {
        let mut held: Option<Held> = None;
        for statement in self.statements(property) {
            let more = statement.held(property)?;
            match &held {
                Some(known) if !known.agrees_with(&more) => {
                    return Err(Refusal::Ambiguous {
                        property: property.to_string(),
                        reason: "it is there twice, and differently".to_owned(),
                    });
                }
                Some(_) => {}
                None => held = Some(more),
            }
        }
        Ok(held)
    }
}

impl Held {
    fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Items(one), Self::Items(other)) => {
                one.iter().all(|item| other.contains(item)) && other.iter().all(|item| one.contains(item))
            }
            (one, other) => one == other,
        }
    }
}

impl<'p> Statement<'p> {
    /// What is said here.
    pub(super) fn held(self, property: &Property) -> Result<Held, Refusal> {
        let odd = |reason: String| Refusal::Ambiguous { property: property.to_string(), reason };
        let element = match self {
            Self::Attribute { attribute } => return Ok(plain(property.shape, attribute.value.clone())),
            Self::Element { element } => element,
        };
        check_attributes(element).map_err(odd)?;
        let mut elements = element.elements();
        let Some(container) = elements.next() else { return Ok(plain(property.shape, element.text())) };
        let is_container = container.name.namespace == RDF && matches!(container.name.local.as_str(), "Bag" | "Seq" | "Alt");
        if property.shape == Shape::Simple || !is_container || elements.next().is_some() || !element.has_only_blanks() {
            return Err(odd(format!("it holds `{}`", container.written_name)));
        }
        check_container(container).map_err(odd)?;
        let items = container.elements().map(|item| {
            let language = item.attribute(XML, "lang").map(|language| language.value.clone());
            (language, item.text())
        });
        Ok(match property.shape {
            Shape::Languages if container.name.local != "Alt" => return Err(odd(format!("it holds `{}`", container.written_name))),
            Shape::Languages => Held::Languages(items.collect()),
            _ => Held::Items(items.map(|(_, text)| text).collect()),
        })
    }
}

/// What a text without any container means for a property of this shape: as Adobe's own reader has it.
fn plain(shape: Shape, text: String) -> Held {
    let says_something = text.chars().any(|character| !character.is_whitespace());
    match shape {
        Shape::Simple => Held::Simple(text),
        Shape::Languages => Held::Languages(says_something.then_some((None, text)).into_iter().collect()),
        Shape::Bag | Shape::Seq => Held::Items(says_something.then_some(text).into_iter().collect()),
    }
}

fn check_container(container: &Element) -> Result<(), String> {
    if !container.has_only_blanks() {
        return Err("there is text between its items".to_owned());
    }
    if let Some(attribute) = container.attributes.first() {
        return Err(format!("its `{}` has the attribute `{}`", container.written_name, attribute.name.local));
    }
    for item in container.elements() {
        if !item.name.is(RDF, "li") {
            return Err(format!("`{}` is among its items", item.written_name));
        }
        check_attributes(item)?;
        if let Some(inner) = item.elements().next() {
            return Err(format!("an item holds `{}`", inner.written_name));
        }
    }
    Ok(())
}

/// Attributes would say that the value is a link, a structure, or something further about the value.
fn check_attributes(element: &Element) -> Result<(), String> {
    match element.attributes.iter().find(|attribute| attribute.name.namespace != XML) {
        Some(attribute) => Err(format!("`{}` has the attribute `{}`", element.written_name, attribute.name.local)),
        None => Ok(()),
    }
}

fn check_for_foreign_rdf(element: &Element) -> Result<(), Refusal> {
    let foreign =
        element.attributes.iter().find(|attribute| attribute.name.namespace == RDF && FOREIGN_RDF.contains(&attribute.name.local.as_str()));
    if let Some(attribute) = foreign {
        return Err(Refusal::not_xmp(format!("it uses rdf:{}, which XMP does not have", attribute.name.local)));
    }
    element.children.iter().try_for_each(|node| match node {
        Node::Element(inner) => check_for_foreign_rdf(inner),
        Node::Text { .. } | Node::Aside { .. } => Ok(()),
    })
}
