//! Words → tokens, for the text encoders. Apart, because a tokenizer is a file of its own beside the weights, in one of two forms: the
//! `tokenizer.json` of a Hugging Face folder (CLIP, SigLIP), or OpenAI's list of merges (`bpe_simple_vocab_16e6.txt.gz`). Imports nothing of
//! ours.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::json;
use tokenizers::Tokenizer as Inner;

use super::{InferError, Result};

/// Largest `tokenizer.json` that is read: the one with 256,000 words (SigLIP 2) has 34 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// Merges of OpenAI's vocabulary that count: what is left of 49,152 tokens after two alphabets of bytes and the two marks, as its code has it.
const OPENAI_MERGES: usize = 49_152 - 256 - 2;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// What a word is: OpenAI's pattern.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Words → tokens.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or OpenAI's vocabulary when the name ends in `.gz` or `.txt`.
    ///
    /// # Errors
    /// [`InferError::Read`], or [`InferError::BadFile`] when it is neither.
    pub fn from_file(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let mut bytes = Vec::new();
        let read = |reader: &mut dyn Read, bytes: &mut Vec<u8>| reader.take(MAX_FILE_BYTES + 1).read_to_end(bytes);
        let file = File::open(path).map_err(|source| InferError::Read { path: path.to_owned(), source })?;
        if name.ends_with(".gz") {
            read(&mut flate2::read::GzDecoder::new(file), &mut bytes).map_err(|error| bad(path, error))?;
        } else {
            read(&mut &file, &mut bytes).map_err(|source| InferError::Read { path: path.to_owned(), source })?;
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(bad(path, format!("it holds more than {} MiB; no tokenizer is that large", MAX_FILE_BYTES >> 20)));
        }
        if name.ends_with(".gz") || name.ends_with(".txt") {
            let text = std::str::from_utf8(&bytes).map_err(|error| bad(path, error))?;
            return Self::from_openai_merges(text).map_err(|why| bad(path, why));
        }
        Self::from_json(&bytes).map_err(|why| bad(path, why))
    }

    fn from_json(bytes: &[u8]) -> std::result::Result<Self, String> {
        let mut inner = Inner::from_bytes(bytes).map_err(|error| format!("it is no tokenizer.json: {error}"))?;
        // Cutting and filling is done here and by the encoders, whatever the file asks for.
        inner.with_truncation(None).map_err(|error| error.to_string())?.with_padding(None);
        Ok(Self { inner })
    }

    /// CLIP's tokenizer from the text of OpenAI's list of merges: a line of comment, then two parts a line.
    fn from_openai_merges(text: &str) -> std::result::Result<Self, String> {
        let merges: Vec<(String, String)> = text
            .lines()
            .skip(1)
            .take(OPENAI_MERGES)
            .map(|line| match line.split_once(' ') {
                Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
                    Ok((left.to_owned(), right.to_owned()))
                }
                _ => Err(format!("it is no list of merges: `{}` are not two parts", line.chars().take(40).collect::<String>())),
            })
            .collect::<std::result::Result<_, _>>()?;
        if merges.len() != OPENAI_MERGES {
            return Err(format!("it has {} merges instead of {OPENAI_MERGES}; is it cut short?", merges.len()));
        }
        let alphabet: Vec<String> = byte_alphabet().into_iter().map(String::from).collect();
        let words = alphabet
            .iter()
            .cloned()
            .chain(alphabet.iter().map(|letter| format!("{letter}</w>")))
            .chain(merges.iter().map(|(left, right)| format!("{left}{right}")))
            .chain([START.to_owned(), END.to_owned()]);
        let vocabulary: serde_json::Map<String, serde_json::Value> = words.enumerate().map(|(id, word)| (word, id.into())).collect();
        let (start, end) = (49_406, 49_407);
        let mark = |id: u32, content: &str| json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
        // As the tokenizer.json of the checkpoints: the library's own builder has no stable type for the vocabulary.
        let file = json!({
            "version": "1.0",
            "added_tokens": [mark(start, START), mark(end, END)],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [
                    {"SpecialToken": {"id": START, "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": END, "type_id": 0}},
                ],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {
                    START: {"id": START, "ids": [start], "tokens": [START]},
                    END: {"id": END, "ids": [end], "tokens": [END]},
                },
            },
            "model": {
                "type": "BPE",
                "unk_token": END,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>",
                "fuse_unk": false,
                "vocab": vocabulary,
                "merges": merges,
            },
        });
        Self::from_json(file.to_string().as_bytes())
    }

    /// A sentence → its tokens with the marks of its start and end, at most `context` of them: a longer one loses what is before its end mark.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when the tokenizer fails on it.
    pub fn encode(&self, sentence: &str, context: usize) -> Result<Vec<u32>> {
        let encoded = self
            .inner
            .encode(sentence, true)
            .map_err(|error| InferError::BadInput(format!("the tokenizer cannot read a sentence: {error}")))?;
        let mut ids = encoded.get_ids().to_vec();
        if ids.len() > context
            && let Some(&end) = ids.last()
        {
            ids.truncate(context);
            if let Some(last) = ids.last_mut() {
                *last = end;
            }
        }
        Ok(ids)
    }

    /// How many tokens it knows: no more than its encoder may.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// A printable letter for each byte, in the order of OpenAI's vocabulary: the printable bytes first, as themselves, then the others.
///
/// # Source
/// `bytes_to_unicode` of openai/CLIP's `simple_tokenizer.py`.
fn byte_alphabet() -> Vec<char> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let others = (0..=u8::MAX).filter(|&byte| !printable(byte)).count() as u32;
    let letters = (0..=u8::MAX).filter(|&byte| printable(byte)).map(char::from);
    letters.chain((256..256 + others).filter_map(char::from_u32)).collect()
}

fn bad(path: &Path, why: impl ToString) -> InferError {
    InferError::BadFile { path: PathBuf::from(path), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let alphabet = byte_alphabet();
        assert_eq!(alphabet.len(), 256);
        assert_eq!(alphabet.iter().collect::<std::collections::HashSet<_>>().len(), 256);
        assert_eq!((alphabet[0], alphabet[188]), ('!', '\u{100}'));
    }

    #[test]
    fn lists_that_are_none_are_refused() {
        for text in ["", "#version: 0.2\n", "#version: 0.2\na b\nc d\n", "#version: 0.2\na b c\n"] {
            assert!(Tokenizer::from_openai_merges(text).is_err());
        }
        let one_word = format!("#version\n{}", "ab\n".repeat(OPENAI_MERGES));
        assert!(Tokenizer::from_openai_merges(&one_word).is_err());
        // Merges of parts that the vocabulary lacks.
        let unknown = format!("#version\n{}", "日 本\n".repeat(OPENAI_MERGES));
        assert!(Tokenizer::from_openai_merges(&unknown).is_err());
        assert!(Tokenizer::from_json(b"{}").is_err());
        assert!(Tokenizer::from_json(br#"{"model": {"type": "BPE"}}"#).is_err());
    }
}
