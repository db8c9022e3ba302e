//! Answers that are dear to compute and read often: counts over a whole library.
//!
//! An answer is kept twenty times as long as it took, so that a small library is always shown as it is, and a large one costs
//! the database a twentieth of its time at most.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

/// How many times as long as it took an answer is kept.
const WORTH: u32 = 20;
const LONGEST: Duration = Duration::from_secs(60);
/// Answers kept at the same time.
const MOST_ANSWERS: usize = 64;

/// Answers by question.
pub(super) struct Cache<K, V> {
    answers: Mutex<HashMap<K, (Instant, Arc<V>)>>,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { answers: Mutex::new(HashMap::new()) }
    }
}

impl<K: Hash + Eq, V> Cache<K, V> {
    /// The answer to `question`, computed by `compute` unless a fresh one is kept. Questions wait for one another, so that ten
    /// browsers that ask the same cost the database one answer.
    pub(super) async fn get<E>(&self, question: K, compute: impl AsyncFnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut answers = self.answers.lock().await;
        answers.retain(|_, (until, _)| *until > Instant::now());
        if let Some((_, answer)) = answers.get(&question) {
            return Ok(answer.clone());
        }
        let started = Instant::now();
        let answer = Arc::new(compute().await?);
        let until = Instant::now() + (started.elapsed() * WORTH).min(LONGEST);
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert(question, (until, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dear_answer_is_kept_and_an_error_is_not() {
        let cache = Cache::<u8, u32>::default();
        let dear = async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<_, ()>(7)
        };
        assert_eq!(cache.get(1, async || Err("no")).await, Err("no"));
        assert_eq!(*cache.get(1, dear).await.unwrap(), 7);
        assert_eq!(*cache.get(1, async || Err(())).await.unwrap(), 7);
        assert!(cache.get(2, async || Err(())).await.is_err());
    }
}
