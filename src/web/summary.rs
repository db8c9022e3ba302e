//! The library's sums, kept with the moment they were counted at, so that their page need not wait a second at a million images.
//!
//! Apart from the other answers worth keeping because this one is also shown when it is no longer true, with its time, while it is
//! counted anew behind the page.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Local};

use super::WebError;
use crate::db::{
    Db, PgConnection, QueryError,
    gallery::find_snapshot,
    library::{LibrarySummary, library_summary},
};

/// What takes no longer is counted while somebody waits.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many times as long as it took an answer is shown before it is counted anew: a scan that writes all the time costs that share.
const WORTH: u32 = 20;
const LONGEST: Duration = Duration::from_secs(60);

/// The sums of a moment.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) summary: LibrarySummary,
    /// When they were counted.
    pub(super) at: DateTime<Local>,
    ended: Instant,
    took: Duration,
    /// The database's as it was counted: while it stays, so do the sums.
    snapshot: String,
}

/// What to do with sums that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Show them: nothing has been written since.
    ShowCurrent,
    /// Show them with their time.
    ShowOld,
    /// Show them with their time, and count behind the page.
    ShowOldAndCount,
    /// Count, and show that.
    Count,
}

fn step(is_current: bool, took: Duration, age: Duration) -> Step {
    match (is_current, took > PATIENCE) {
        (true, _) => Step::ShowCurrent,
        (false, false) => Step::Count,
        (false, true) if age < (took * WORTH).min(LONGEST) => Step::ShowOld,
        (false, true) => Step::ShowOldAndCount,
    }
}

/// Keeps the sums that were counted last.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    kept: Mutex<Option<Arc<Counted>>>,
    /// Held by whoever counts.
    turn: tokio::sync::Mutex<()>,
}

impl Summaries {
    fn kept(&self) -> Option<Arc<Counted>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The sums of now, counted unless nothing has been written since they were. Who asks while somebody counts waits for that.
    pub(super) async fn now(&self, db: &Db) -> Result<Arc<Counted>, WebError> {
        let _turn = self.turn.lock().await;
        let kept = self.kept();
        let count = move |conn: &mut PgConnection| {
            let snapshot = find_snapshot(conn)?;
            if let Some(kept) = kept.filter(|kept| kept.snapshot == snapshot) {
                return Ok::<_, QueryError>(kept);
            }
            let (at, began) = (Local::now(), Instant::now());
            let summary = library_summary(conn)?;
            Ok(Arc::new(Counted { summary, at, ended: Instant::now(), took: began.elapsed(), snapshot }))
        };
        let counted = db.run(count).await?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted.clone());
        Ok(counted)
    }

    /// Sums to show without delay, and whether they are those of now.
    pub(super) async fn at_once(self: &Arc<Self>, db: &Db) -> Result<(Arc<Counted>, bool), WebError> {
        let Some(kept) = self.kept() else { return Ok((self.now(db).await?, true)) };
        let is_current = db.run(find_snapshot).await? == kept.snapshot;
        match step(is_current, kept.took, kept.ended.elapsed()) {
            Step::ShowCurrent => Ok((kept, true)),
            Step::ShowOld => Ok((kept, false)),
            Step::Count => Ok((self.now(db).await?, true)),
            Step::ShowOldAndCount => {
                if self.turn.try_lock().is_ok() {
                    let (summaries, db) = (self.clone(), db.clone());
                    actix_web::rt::spawn(async move {
                        if let Err(error) = summaries.now(&db).await {
                            tracing::warn!("the library is not counted anew: {error}");
                        }
                    });
                }
                Ok((kept, false))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sums_that_take_long_are_shown_when_they_are_old() {
        let (quick, slow) = (Duration::from_millis(20), Duration::from_secs(1));
        let (soon, late) = (Duration::from_secs(5), Duration::from_secs(21));
        for (is_current, took, age, expected) in [
            (true, quick, late, Step::ShowCurrent),
            (true, slow, late, Step::ShowCurrent),
            (false, quick, soon, Step::Count),
            (false, slow, soon, Step::ShowOld),
            (false, slow, late, Step::ShowOldAndCount),
            (false, Duration::from_secs(10), Duration::from_secs(61), Step::ShowOldAndCount),
        ] {
            assert_eq!(step(is_current, took, age), expected, "{is_current} {took:?} {age:?}");
        }
    }
}
