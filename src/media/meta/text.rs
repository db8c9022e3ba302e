//! Words in files: which bytes are text, and which text says nothing.

use encoding_rs::WINDOWS_1252;

/// Longest text kept, in characters.
const LONGEST_CHARS: usize = 10_000;

/// What cameras and programs write where a person could have written: no description.
const PLACEHOLDERS: [&str; 13] = [
    "OLYMPUS DIGITAL CAMERA",
    "SONY DSC",
    "SAMSUNG",
    "SAMSUNG CAMERA PICTURES",
    "SAMSUNG DIGITAL CAMERA",
    "MINOLTA DIGITAL CAMERA",
    "KONICA MINOLTA DIGITAL CAMERA",
    "KODAK Digital Still Camera",
    "DIGITAL CAMERA",
    "Exif_JPEG_PICTURE",
    "Default",
    "Untitled",
    "?",
];

/// UTF-8, else Windows-1252 (which holds Latin-1); up to the first NUL, trimmed and cut. `None` when nothing is left.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => clean(text),
        Err(_) => clean(&WINDOWS_1252.decode_without_bom_handling(bytes).0),
    }
}

/// Trimmed of blanks and NUL and cut. `None` when nothing is left.
pub(super) fn clean(text: &str) -> Option<String> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0' || character == '\u{feff}');
    if text.is_empty() {
        return None;
    }
    let end = text.char_indices().nth(LONGEST_CHARS).map_or(text.len(), |(index, _)| index);
    Some(text[..end].replace('\0', " "))
}

/// A title or description, unless it is what the device writes into every file.
pub(super) fn meaningful(text: String) -> Option<String> {
    let told_nothing = PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder))
        || text.starts_with("DCIM\\")
        || text.starts_with("DCIM/")
        || text.chars().all(|character| !character.is_alphanumeric());
    (!told_nothing).then_some(text)
}

/// Adds what is not there yet, keeping the order.
pub(super) fn add_new(list: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text_or_nothing() {
        assert_eq!(from_bytes(b"  Canon \0\0junk").as_deref(), Some("Canon"));
        assert_eq!(from_bytes("Zoé".as_bytes()).as_deref(), Some("Zoé"));
        assert_eq!(from_bytes(b"Zo\xe9").as_deref(), Some("Zoé"));
        assert_eq!(from_bytes(b" \0 "), None);
        assert_eq!(from_bytes(&vec![b'x'; 20_000]).unwrap().len(), LONGEST_CHARS);
    }

    #[test]
    fn what_a_camera_writes_into_every_file_is_no_description() {
        for placeholder in ["OLYMPUS DIGITAL CAMERA", "DCIM\\100MEDIA\\DJI_0001.JPG", "default", "---", "?"] {
            assert_eq!(meaningful(placeholder.to_owned()), None, "{placeholder}");
        }
        assert_eq!(meaningful("Samsung in Seoul".to_owned()).as_deref(), Some("Samsung in Seoul"));
        assert_eq!(meaningful("東京".to_owned()).as_deref(), Some("東京"));
    }
}
