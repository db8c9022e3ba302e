//! How tasks and outcomes are written: JSON beside the version of the form. What cannot be read is told from what is too new.

use serde::{Deserialize, Serialize};

use crate::models::task::{Failure, Outcome, Task};

/// Letters of an unreadable text that are kept to be shown.
const MOST_SHOWN: usize = 2_000;

/// What a text turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Letter<T> {
    /// What was written.
    Known(T),
    /// Of a version that this program does not know.
    Newer(u32),
    /// Why nobody can read it.
    Unreadable(String),
}

#[derive(Serialize)]
struct TaskOut<'a> {
    v: u32,
    task: &'a Task,
}

#[derive(Deserialize)]
struct TaskIn {
    v: u32,
    task: Task,
}

#[derive(Serialize)]
struct OutcomeOut<'a> {
    v: u32,
    outcome: &'a Outcome,
}

#[derive(Deserialize)]
struct OutcomeIn {
    v: u32,
    outcome: Outcome,
}

/// The version alone.
#[derive(Deserialize)]
struct Head {
    v: u32,
}

/// An outcome of which only the question can be read.
#[derive(Deserialize)]
struct Question {
    outcome: Asked,
}

#[derive(Deserialize)]
struct Asked {
    task: Task,
    #[serde(default)]
    worker: String,
}

pub(super) fn write_task(version: u32, task: &Task) -> String {
    serde_json::to_string(&TaskOut { v: version, task }).expect("names of fields are texts")
}

pub(super) fn write_outcome(version: u32, outcome: &Outcome) -> String {
    serde_json::to_string(&OutcomeOut { v: version, outcome }).expect("names of fields are texts")
}

/// Reads a task, as a program does that knows the versions up to `version`.
pub(super) fn read_task(text: &[u8], version: u32) -> Letter<Task> {
    match serde_json::from_slice::<TaskIn>(text) {
        Ok(letter) if letter.v <= version => Letter::Known(letter.task),
        Ok(letter) => Letter::Newer(letter.v),
        Err(error) => newer_or_unreadable(text, version, &error),
    }
}

/// Reads an outcome. When its question can be read and the answer cannot, the outcome is a failure that says so: the image is not
/// asked about again and again.
pub(super) fn read_outcome(text: &[u8], version: u32) -> Letter<Outcome> {
    let error = match serde_json::from_slice::<OutcomeIn>(text) {
        Ok(letter) if letter.v <= version => return Letter::Known(letter.outcome),
        Ok(letter) => return Letter::Newer(letter.v),
        Err(error) => error,
    };
    let letter = newer_or_unreadable(text, version, &error);
    if let (Letter::Unreadable(_), Ok(Question { outcome })) = (&letter, serde_json::from_slice::<Question>(text)) {
        let failure = Failure { error: format!("the worker's answer cannot be read: {error}"), is_passing: false };
        return Letter::Known(Outcome { task: outcome.task, worker: outcome.worker, took_ms: 0.0, answer: Err(failure) });
    }
    letter
}

fn newer_or_unreadable<T>(text: &[u8], version: u32, error: &serde_json::Error) -> Letter<T> {
    match serde_json::from_slice::<Head>(text) {
        Ok(head) if head.v > version => Letter::Newer(head.v),
        _ => Letter::Unreadable(error.to_string()),
    }
}

/// Something that nobody could read, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buried {
    /// Where it lay: a lane, or `outcomes`.
    pub place: String,
    /// The image it was about.
    pub image: String,
    /// Why it cannot be read.
    pub error: String,
    /// Its beginning.
    pub text: String,
}

impl Buried {
    pub(super) fn new(place: &str, image: &str, error: &str, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).chars().take(MOST_SHOWN).collect();
        Self { place: place.to_owned(), image: image.to_owned(), error: error.to_owned(), text }
    }

    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).expect("names of fields are texts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{
        ImageId, PictureKey,
        task::{Answer, Priority},
    };

    fn task() -> Task {
        let lane = "embed/clip@1".parse().unwrap();
        Task { lane, image: ImageId(1 << 60), picture: PictureKey::of(&[1; 16], 2, None), priority: Priority::New, attempt: 3 }
    }

    fn outcome(vector: Vec<f32>) -> Outcome {
        Outcome { task: task(), worker: "attic".into(), took_ms: 1.5, answer: Ok(Answer::Embedding { vector }) }
    }

    #[test]
    fn letters_are_read_as_they_were_written() {
        assert_eq!(read_task(write_task(1, &task()).as_bytes(), 1), Letter::Known(task()));
        assert_eq!(read_task(write_task(1, &task()).as_bytes(), 2), Letter::Known(task()));
        let outcome = outcome(vec![0.6, -0.8]);
        assert_eq!(read_outcome(write_outcome(2, &outcome).as_bytes(), 2), Letter::Known(outcome));
    }

    #[test]
    fn what_is_newer_is_told_from_what_is_broken() {
        assert_eq!(read_task(write_task(2, &task()).as_bytes(), 1), Letter::Newer(2));
        assert_eq!(read_task(br#"{"v":9,"question":{}}"#, 1), Letter::Newer(9));
        assert_eq!(read_outcome(br#"{"v":9,"words":[]}"#, 1), Letter::Newer(9));
        for text in [&b""[..], b"\xff\xfe", b"{", br#"{"v":1}"#, br#"{"v":-1,"task":{}}"#, b"[]"] {
            assert!(matches!(read_task(text, 1), Letter::Unreadable(_)), "{text:?}");
            assert!(matches!(read_outcome(text, 1), Letter::Unreadable(_)), "{text:?}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_fails_its_image() {
        let text = write_outcome(1, &outcome(vec![f32::NAN]));
        let Letter::Known(outcome) = read_outcome(text.as_bytes(), 1) else { panic!("{text}") };
        assert_eq!((outcome.task, outcome.worker.as_str()), (task(), "attic"));
        assert!(!outcome.answer.unwrap_err().is_passing);
    }
}
