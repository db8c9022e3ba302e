//! How far a large edit is, or the taking back of one: told while its one transaction runs, to the page that waits for it.
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

use crate::web::{State, WebError, page::value_of};

/// Edits that are told about at the same time; more are done all the same.
const MOST_TOLD: usize = 100;
/// Longest word for one, in bytes.
const LONGEST_WORD: usize = 40;

/// Images done and to do.
#[derive(Debug, Default)]
struct Progress {
    done: AtomicUsize,
    total: AtomicUsize,
}

/// The edits under way, by the words of the pages that wait for them.
#[derive(Debug, Default)]
pub(in crate::web) struct UnderWay(Mutex<HashMap<String, Arc<Progress>>>);

/// One edit under way; forgotten when it is dropped.
pub(in crate::web) struct Told {
    state: Data<State>,
    word: Option<String>,
    progress: Arc<Progress>,
}

impl Told {
    /// What the edit calls with the images done and to do.
    pub(in crate::web) fn teller(&self) -> impl FnMut(usize, usize) + use<> {
        let progress = Arc::clone(&self.progress);
        move |done, total| {
            progress.total.store(total, Ordering::Relaxed);
            progress.done.store(done, Ordering::Relaxed);
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(word) = self.word.take() {
            self.state.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&word);
        }
    }
}

/// Begins to tell about an edit, where a page asks for it by a word in the field `progress`.
pub(in crate::web) fn tell(state: &Data<State>, fields: &[(String, String)]) -> Told {
    let word = value_of(fields, "progress");
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

/// `GET /edits/progress/{word}`: images done and to do of an edit under way, as JSON; no content once it is over, or while it still waits for
/// its turn. That is no error: whoever asks cannot know.
pub(in crate::web) async fn progress(state: Data<State>, word: Path<String>) -> Result<HttpResponse, WebError> {
    let found = state.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).get(word.as_str()).cloned();
    let Some(progress) = found else { return Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish()) };
    let answer = Answer { done: progress.done.load(Ordering::Relaxed), total: progress.total.load(Ordering::Relaxed) };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}
