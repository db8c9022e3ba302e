//! A tokenizer against the reference's tokens. Apart, because it is no network.

use std::{fs, path::Path};

use serde::Deserialize;

use super::{GOLDEN_TEXTS, Measured};
use crate::infer::{InferError, Result, manifest::TOKENIZERS, tokenizer::Tokenizer};

/// Largest file of texts that is read.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
}

/// Reads every text with the given tokenizer, or with that of the case.
pub(super) fn check(case: &Path, tokenizer: Option<&Path>) -> Result<Vec<Measured>> {
    let path = case.join(GOLDEN_TEXTS);
    let bad = |why: String| InferError::BadFile { path: path.clone(), why };
    let read = |source| InferError::Read { path: path.clone(), source };
    let bytes = fs::metadata(&path).map_err(read)?.len();
    if bytes > MAX_BYTES {
        return Err(bad(format!("it has {bytes} bytes; no list of texts is that long")));
    }
    let lines: Vec<Line> = serde_json::from_slice(&fs::read(&path).map_err(read)?)
        .map_err(|error| bad(format!("it is no list of texts with their tokens: {error}")))?;
    let beside = TOKENIZERS.iter().map(|name| case.join(name)).find(|file| file.is_file());
    let Some(file) = tokenizer.map(Path::to_owned).or(beside) else {
        return Err(InferError::Refused(format!("there is no tokenizer beside `{}`\nhint: put tokenizer.json there", path.display())));
    };
    let tokenizer = Tokenizer::from_file(&file)?;
    let mut wrong = 0;
    let mut first = String::new();
    for Line { text, ids } in &lines {
        if tokenizer.encode(text, usize::MAX)? != *ids {
            wrong += 1;
            if first.is_empty() {
                first = format!("the first: {text:?}");
            }
        }
    }
    let measured = Measured::new(format!("tokens of {} texts", lines.len()), f64::from(wrong), 0.0);
    Ok(vec![Measured { note: first, unit: "texts", ..measured }])
}
