//! Writes the words about a picture as XMP: in a sidecar, or as a packet inside a JPEG.

use std::fmt::Write;

/// What a person said about a picture.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// -1 rejected, 1 to 5 stars; `None` when nobody has rated it.
    pub(super) rating: Option<i8>,
    /// A title, perhaps empty.
    pub(super) title: String,
    /// A longer text, perhaps empty.
    pub(super) description: String,
    /// Paths in the tree of keywords, levels joined by `|`.
    pub(super) keywords: Vec<String>,
}

/// A packet with all of `words`; flat keywords are every level of the hierarchical ones, as digiKam and Lightroom write them.
pub(super) fn packet(words: &Words, tool: &str) -> String {
    let mut body = String::new();
    let rating = words.rating.map(|rating| format!("\n    xmp:Rating=\"{rating}\"")).unwrap_or_default();
    for (element, text) in [("title", &words.title), ("description", &words.description)] {
        if !text.is_empty() {
            let text = escaped(text);
            let _ = write!(body, "\n   <dc:{element}><rdf:Alt><rdf:li xml:lang=\"x-default\">{text}</rdf:li></rdf:Alt></dc:{element}>");
        }
    }
    if !words.keywords.is_empty() {
        let mut flat: Vec<&str> = words.keywords.iter().flat_map(|path| path.split('|')).collect();
        flat.sort_unstable();
        flat.dedup();
        bag(&mut body, "dc:subject", flat);
        bag(&mut body, "lr:hierarchicalSubject", words.keywords.iter().map(String::as_str).collect());
    }
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>
<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"{tool}\">
 <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">
  <rdf:Description rdf:about=\"\"
    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"
    xmlns:dc=\"http://purl.org/dc/elements/1.1/\"
    xmlns:lr=\"http://ns.adobe.com/lightroom/1.0/\"{rating}>{body}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end=\"w\"?>
"
    )
}

fn bag(body: &mut String, element: &str, items: Vec<&str>) {
    let items: String = items.into_iter().map(|item| format!("<rdf:li>{}</rdf:li>", escaped(item))).collect();
    let _ = write!(body, "\n   <{element}><rdf:Bag>{items}</rdf:Bag></{element}>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_keywords_are_every_level_once() {
        let words = Words { keywords: vec!["Animals|Cat|Momo".into(), "Animals|Dog".into()], title: "A & B".into(), ..Words::default() };
        let packet = packet(&words, "test");
        assert_eq!(packet.matches("<rdf:li>Animals</rdf:li>").count(), 1);
        assert!(packet.contains("<rdf:li>Animals|Cat|Momo</rdf:li>") && packet.contains("A &amp; B"));
        assert!(!packet.contains("xmp:Rating"), "nobody rated it");
    }
}
