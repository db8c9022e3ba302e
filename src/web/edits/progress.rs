//! How far a large edit is: told while its one transaction runs, to the page that waits for it.
//!
//! A page that sends an edit makes up a word for it and may ask by that word; what is done and not yet committed counts, because nobody
//! sees it before all of it is there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    HttpResponse,
    http::header::CACHE_CONTROL,
    web::{Data, Path},
};
use serde::Serialize;

use crate::web::{State, WebError};

/// Edits that are told about at the same time; more are done all the same.
const MOST_TOLD: usize = 100;
/// Longest word for one, in bytes.
const LONGEST_WORD: usize = 40;

/// Images done and to do.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    /// Notes how far it is.
    pub(super) fn note(&self, done: usize, total: usize) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }
}

/// The edits under way, by the words of the pages that wait for them.
#[derive(Debug, Default)]
pub(in crate::web) struct UnderWay(Mutex<HashMap<String, Arc<Progress>>>);

/// One edit under way; forgotten when it is dropped.
pub(super) struct Told {
    state: Data<State>,
    word: Option<String>,
    /// Where it is noted.
    pub(super) progress: Arc<Progress>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(word) = self.word.take() {
            self.state.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&word);
        }
    }
}

/// Begins to tell about an edit, where a page asks for it.
pub(super) fn tell(state: &Data<State>, word: Option<&str>) -> Told {
    let progress = Arc::<Progress>::default();
    let mut known = state.under_way.0.lock().unwrap_or_else(PoisonError::into_inner);
    let is_usable = |word: &&str| !word.is_empty() && word.len() <= LONGEST_WORD && known.len() < MOST_TOLD && !known.contains_key(*word);
    let word = word.filter(is_usable).map(str::to_owned);
    if let Some(word) = &word {
        known.insert(word.clone(), Arc::clone(&progress));
    }
    drop(known);
    Told { state: Data::clone(state), word, progress }
}

/// How far an edit is.
#[derive(Serialize)]
struct Answer {
    done: usize,
    total: usize,
}

/// `GET /edits/progress/{word}`: images done and to do of an edit under way, as JSON; nothing is found once it is over.
pub(in crate::web) async fn progress(state: Data<State>, word: Path<String>) -> Result<HttpResponse, WebError> {
    let found = state.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).get(word.as_str()).cloned();
    let progress = found.ok_or(WebError::NotFound("edit"))?;
    let answer = Answer { done: progress.done.load(Ordering::Relaxed), total: progress.total.load(Ordering::Relaxed) };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}
