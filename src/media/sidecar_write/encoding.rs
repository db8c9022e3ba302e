//! The bytes of a sidecar as text, and text as such bytes again: UTF-8 with or without mark, and UTF-16 of either order, exactly.
//!
//! UTF-16 is written back as it was found, so that an edit is an edit and not a conversion. UTF-32 and every older encoding are refused:
//! no program writes them, and those who read them disagree.

use std::borrow::Cow;

use super::{Refusal, document::declared};

const MARK: &str = "\u{feff}";

/// How the text of a file was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The text of a file, its mark taken off.
#[derive(Debug)]
pub(super) struct Decoded<'b> {
    pub(super) text: Cow<'b, str>,
    encoding: Encoding,
    has_mark: bool,
}

/// Decodes the bytes of a whole file.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded<'_>, Refusal> {
    let encoding = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [b'<', 0, 0, 0, ..] | [0, 0, 0, b'<', ..] => {
            return Err(Refusal::Encoding("it is UTF-32".to_owned()));
        }
        [0xff, 0xfe, ..] | [b'<', 0, ..] => Encoding::Utf16Le,
        [0xfe, 0xff, ..] | [0, b'<', ..] => Encoding::Utf16Be,
        _ => Encoding::Utf8,
    };
    let text: Cow<'_, str> = match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map_err(|error| Refusal::Encoding(format!("it is not UTF-8: {error}")))?.into(),
        Encoding::Utf16Le => from_utf16(bytes, u16::from_le_bytes)?.into(),
        Encoding::Utf16Be => from_utf16(bytes, u16::from_be_bytes)?.into(),
    };
    let has_mark = text.starts_with(MARK);
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(MARK).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.strip_prefix(MARK).map_or_else(|| text.clone(), str::to_owned)),
    };
    if let Some(name) = declared(&text, "encoding") {
        let name = name.to_ascii_lowercase();
        let fits = match encoding {
            Encoding::Utf8 => {
                matches!(name.as_str(), "utf-8" | "utf8") || (matches!(name.as_str(), "us-ascii" | "ascii") && text.is_ascii())
            }
            Encoding::Utf16Le => matches!(name.as_str(), "utf-16" | "utf-16le"),
            Encoding::Utf16Be => matches!(name.as_str(), "utf-16" | "utf-16be"),
        };
        if !fits {
            return Err(Refusal::Encoding(format!("it says that it is `{name}`")));
        }
    }
    Ok(Decoded { text, encoding, has_mark })
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Refusal> {
    let mut pairs = bytes.chunks_exact(2);
    let units: Vec<u16> = pairs.by_ref().map(|pair| unit([pair[0], pair[1]])).collect();
    if !pairs.remainder().is_empty() {
        return Err(Refusal::Encoding("it is UTF-16 that ends within a character: cut off?".to_owned()));
    }
    String::from_utf16(&units).map_err(|_| Refusal::Encoding("it is not UTF-16".to_owned()))
}

impl Decoded<'_> {
    /// Another text, stored as this one was.
    pub(super) fn encode(&self, text: &str) -> Vec<u8> {
        let marked: Cow<'_, str> = if self.has_mark { format!("{MARK}{text}").into() } else { text.into() };
        match self.encoding {
            Encoding::Utf8 => marked.into_owned().into_bytes(),
            Encoding::Utf16Le => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_decoded_is_encoded_again(text in "<[a-zé🚐\r\n]{0,20}", mark: bool) {
            let marked = if mark { format!("{MARK}{text}") } else { text.clone() };
            let forms: [Vec<u8>; 3] = [
                marked.clone().into_bytes(),
                marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            ];
            for bytes in forms {
                let decoded = decode(&bytes).unwrap();
                proptest::prop_assert_eq!(&decoded.text, &text);
                proptest::prop_assert_eq!(decoded.encode(&text), bytes);
            }
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        for bytes in [
            &b"<a>caf\xe9</a>"[..],
            b"<?xml version='1.0' encoding='iso-8859-1'?><a/>",
            b"<?xml version='1.0' encoding='UTF-16'?><a/>",
            b"\xff\xfe\0\0<\0\0\0",
            b"\xff\xfe<\0a",
            b"\xff\xfe<\0\0\xd8>\0",
        ] {
            assert!(matches!(decode(bytes), Err(Refusal::Encoding(_))), "{bytes:?}");
        }
    }
}
