//! A waiting line with an end: so many at work, so many waiting, and whoever comes then is told to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::web::WebError;

/// A waiting line.
pub(super) struct Line {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Somebody's turn, until it is dropped.
pub(super) struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Line {
    /// One in which so many have their turn at once, and so many more may wait.
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once + waiting)), turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for a turn, in the order of asking. Whoever stops waiting gives up their place.
    ///
    /// # Errors
    /// [`WebError::Busy`] with these words when the line is full.
    pub(super) async fn turn(&self, full: &'static str) -> Result<Turn, WebError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| WebError::Busy(full))?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| WebError::Internal(error.to_string()))?;
        Ok(Turn { _turn: turn, _place: place })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_line_has_an_end_and_moves_on() {
        let line = Arc::new(Line::new(1, 2));
        let first = line.turn("full").await.unwrap();
        let wait = || {
            let line = Arc::clone(&line);
            tokio::spawn(async move { line.turn("full").await.map(drop) })
        };
        let (second, third) = (wait(), wait());
        tokio::task::yield_now().await;
        assert!(matches!(line.turn("full").await, Err(WebError::Busy("full"))));
        // One that goes away leaves a place.
        third.abort();
        assert!(third.await.unwrap_err().is_cancelled());
        let fourth = wait();
        assert!(!second.is_finished());
        drop(first);
        tokio::time::timeout(Duration::from_secs(5), async {
            assert!(second.await.unwrap().is_ok() && fourth.await.unwrap().is_ok());
        })
        .await
        .unwrap();
        assert!(line.turn("full").await.is_ok());
    }
}
