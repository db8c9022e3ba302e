//! The last look before anything is written: apart from the properties that were to change, does the new text say what the old one said?
//!
//! The knife should make this true by construction. That it is checked each time, on the parsed documents and not on the splices, is what
//! makes a mistake in the knife a refusal instead of a loss.

use super::{
    document::{Document, Element, Node, is_blank},
    packet::{Held, Packet},
    properties::{Property, RDF, Shape},
};

/// Compares two packets apart from `changed`.
///
/// # Errors
/// The first difference, in words.
pub(super) fn check(before: &Packet<'_>, after: &Packet<'_>, changed: &[&Property]) -> Result<(), String> {
    let frame = |packet: &Packet<'_>| {
        let (text, rdf) = (packet.document.text, packet.rdf());
        let start_tag = packet.document.at(&rdf.start_tag).trim_end_matches('>').trim_end_matches('/').trim_end_matches(is_blank);
        (text[..rdf.span.start].to_owned(), text[rdf.span.end..].to_owned(), start_tag.to_owned())
    };
    if frame(before) != frame(after) {
        return Err("what surrounds the RDF".to_owned());
    }
    let mut new = after.descriptions();
    for (index, old) in before.descriptions().enumerate() {
        let description = new.next().ok_or("a description is gone")?;
        check_description((&before.document, old), (&after.document, description), changed)
            .map_err(|what| format!("{what} of description {}", index + 1))?;
    }
    let had_none = before.descriptions().next().is_none();
    let added: Vec<&Element> = new.collect();
    let is_about = |words: &String| words.starts_with(&format!("@{RDF}about "));
    let says_only_what_changed = |description: &&Element| said(&after.document, description, changed).iter().all(is_about);
    if !added.iter().all(says_only_what_changed) || (added.len() > usize::from(had_none)) {
        return Err("a description that was not there".to_owned());
    }
    if asides(&before.document, before.rdf()) != asides(&after.document, after.rdf()) {
        return Err("a comment".to_owned());
    }
    changed.iter().filter(|property| property.shape == Shape::Languages).try_for_each(|property| check_languages(before, after, property))
}

fn check_description(old: (&Document<'_>, &Element), new: (&Document<'_>, &Element), changed: &[&Property]) -> Result<(), String> {
    if old.1.name != new.1.name {
        return Err("the name".to_owned());
    }
    let (old_said, new_said) = (said(old.0, old.1, changed), said(new.0, new.1, changed));
    if old_said != new_said {
        let difference =
            old_said.iter().find(|one| !new_said.contains(one)).or_else(|| new_said.iter().find(|one| !old_said.contains(one)));
        return Err(difference.map_or_else(|| "the order".to_owned(), |said| format!("`{}`", said.chars().take(60).collect::<String>())));
    }
    if asides(old.0, old.1) != asides(new.0, new.1) {
        return Err("a comment".to_owned());
    }
    Ok(())
}

/// Everything a description says apart from `changed`, each in words that are equal only when bytes and names are.
fn said(document: &Document<'_>, description: &Element, changed: &[&Property]) -> Vec<String> {
    let is_changed = |namespace: &str, local: &str| changed.iter().any(|property| property.is_named(namespace, local));
    let mut all = Vec::new();
    for attribute in description.attributes.iter().filter(|attribute| !is_changed(&attribute.name.namespace, &attribute.name.local)) {
        all.push(format!("@{}{} {}", attribute.name.namespace, attribute.name.local, document.at(&attribute.value_span)));
    }
    for element in description.elements().filter(|element| !is_changed(&element.name.namespace, &element.name.local)) {
        let mut words = document.at(&element.span).to_owned();
        add_names(element, &mut words);
        all.push(words);
    }
    all
}

/// The same bytes could mean something else if a prefix did.
fn add_names(element: &Element, words: &mut String) {
    for name in std::iter::once(&element.name).chain(element.attributes.iter().map(|attribute| &attribute.name)) {
        words.push(' ');
        words.push_str(&name.namespace);
        words.push_str(&name.local);
    }
    element.elements().for_each(|inner| add_names(inner, words));
}

fn asides<'t>(document: &Document<'t>, element: &Element) -> Vec<&'t str> {
    let aside = |node: &Node| match node {
        Node::Aside { span } => Some(document.at(span)),
        Node::Element(_) | Node::Text { .. } => None,
    };
    element.children.iter().filter_map(aside).collect()
}

/// Languages and texts.
type Texts = Vec<(Option<String>, String)>;

/// A text set for everybody leaves the other languages as they were; one taken away takes all.
fn check_languages(before: &Packet<'_>, after: &Packet<'_>, property: &Property) -> Result<(), String> {
    let others = |packet: &Packet<'_>| -> Result<Option<Texts>, String> {
        let held = packet.held(property).map_err(|refusal| refusal.to_string())?;
        Ok(held.map(|held| match held {
            Held::Languages(all) => all
                .into_iter()
                .filter(|(language, _)| language.as_ref().is_some_and(|language| !language.eq_ignore_ascii_case("x-default")))
                .collect(),
            _ => Vec::new(),
        }))
    };
    match (others(before)?, others(after)?) {
        (Some(old), Some(new)) if old != new => Err(format!("{property} in another language")),
        _ => Ok(()),
    }
}
