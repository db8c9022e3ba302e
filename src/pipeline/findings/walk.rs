//! When the library is looked through for images that a network has yet to see. Plain state: no threads, no questions.
//!
//! Two walks for each network. The whole library is gone through from the newest image to the oldest, again and again until nothing was found
//! to be lacking, and then once an hour. What was made since the last time that nothing was is looked at every few seconds.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::models::Cursor;

/// Between two passes over everything that found nothing.
const LOOK_THROUGH_EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two passes while some are lacking, unless the lane is empty before.
const LEAST_REST: Duration = Duration::from_secs(30);
const LEAST_REST_OF_EMPTY: Duration = Duration::from_secs(2);
/// Between two looks at what is new.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The database is left alone for so many times as long as it was asked.
const REST_FACTOR: u32 = 20;
/// Pictures are dated by when their writing began: one may be seen only after the look that should have found it.
const MARGIN: TimeDelta = TimeDelta::seconds(60);

/// A walk over the whole library.
#[derive(Debug)]
pub(super) struct WholeWalk {
    pass: Option<Pass>,
    /// Not before; earlier when the lane is empty.
    rest_until: Instant,
    rest_of_empty_until: Instant,
}

#[derive(Debug, Default)]
struct Pass {
    after: Option<Cursor>,
    found: usize,
    asked_for: Duration,
}

impl WholeWalk {
    pub(super) fn new(now: Instant) -> Self {
        Self { pass: None, rest_until: now, rest_of_empty_until: now }
    }

    /// Where to look next; `None` while there is nothing to do. `is_empty`: no task of the lane is anywhere.
    pub(super) fn next(&mut self, now: Instant, is_empty: bool) -> Option<Option<Cursor>> {
        if self.pass.is_none() {
            let until = if is_empty { self.rest_of_empty_until } else { self.rest_until };
            if now < until {
                return None;
            }
            self.pass = Some(Pass::default());
        }
        self.pass.as_ref().map(|pass| pass.after)
    }

    /// A stretch was looked at: how many lacked, where to go on, and how long it took.
    pub(super) fn looked(&mut self, now: Instant, found: usize, next: Option<Cursor>, took: Duration) {
        let Some(pass) = &mut self.pass else { return };
        pass.found += found;
        pass.asked_for += took;
        if next.is_some() {
            pass.after = next;
            return;
        }
        let rest = pass.asked_for * REST_FACTOR;
        (self.rest_until, self.rest_of_empty_until) = if pass.found > 0 {
            (now + rest.max(LEAST_REST), now + LEAST_REST_OF_EMPTY.max(pass.asked_for))
        } else {
            (now + LOOK_THROUGH_EVERY, now + LOOK_THROUGH_EVERY)
        };
        self.pass = None;
    }

    /// Begins again from the newest image: something happened that the database did not tell.
    pub(super) fn begin_again(&mut self, now: Instant) {
        *self = Self::new(now);
    }
}

/// A walk over what is new.
#[derive(Debug)]
pub(super) struct FreshWalk {
    /// Everything that was made before was found by a look, or will be by a pass over everything.
    since: DateTime<Utc>,
    rest_until: Instant,
}

impl FreshWalk {
    /// From this moment on, by the database's clock.
    pub(super) fn new(since: DateTime<Utc>, now: Instant) -> Self {
        Self { since, rest_until: now }
    }

    /// Since when what was made has to be looked at; `None` while there is nothing to do.
    pub(super) fn next(&self, now: Instant) -> Option<DateTime<Utc>> {
        (now >= self.rest_until).then(|| self.since - MARGIN)
    }

    /// All of it was looked at, from this moment on by the database's clock.
    pub(super) fn looked(&mut self, now: Instant, begun_at: DateTime<Utc>, found: usize, took: Duration) {
        if found == 0 {
            self.since = self.since.max(begun_at);
        }
        self.rest_until = now + LOOK_EVERY.max(took * REST_FACTOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ImageId;

    fn cursor(id: i64) -> Option<Cursor> {
        Some(Cursor { captured_at: DateTime::UNIX_EPOCH.naive_utc(), image: ImageId(id) })
    }

    #[test]
    fn the_library_is_walked_until_nothing_lacks() {
        let mut now = Instant::now();
        let mut walk = WholeWalk::new(now);
        assert_eq!(walk.next(now, true), Some(None));
        walk.looked(now, 500, cursor(9), Duration::from_millis(50));
        assert_eq!(walk.next(now, false), Some(cursor(9)), "from where it left off");
        walk.looked(now, 0, cursor(4), Duration::from_millis(50));
        walk.looked(now, 0, None, Duration::from_millis(50));
        assert_eq!(walk.next(now + Duration::from_secs(3), false), None, "what was found is still under way");
        assert_eq!(walk.next(now + Duration::from_secs(3), true), Some(None), "unless it is not");
        now += Duration::from_secs(3);
        walk.looked(now, 0, None, Duration::from_millis(50));
        assert_eq!(walk.next(now + Duration::from_secs(3599), true), None);
        assert_eq!(walk.next(now + LOOK_THROUGH_EVERY, false), Some(None));
    }

    #[test]
    fn a_slow_database_is_asked_less_often() {
        let now = Instant::now();
        let mut walk = WholeWalk::new(now);
        assert!(walk.next(now, false).is_some());
        walk.looked(now, 1, None, Duration::from_secs(10));
        assert_eq!(walk.next(now + Duration::from_secs(199), false), None);
        assert!(walk.next(now + Duration::from_secs(200), false).is_some());
    }

    #[test]
    fn what_is_new_is_looked_at_again_until_it_is_answered() {
        let now = Instant::now();
        let (noon, one) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::hours(1));
        let mut walk = FreshWalk::new(noon, now);
        assert_eq!(walk.next(now), Some(noon - MARGIN));
        walk.looked(now, one, 3, Duration::ZERO);
        assert_eq!(walk.next(now), None);
        let later = now + LOOK_EVERY;
        assert_eq!(walk.next(later), Some(noon - MARGIN));
        walk.looked(later, one, 0, Duration::ZERO);
        assert_eq!(walk.next(later + LOOK_EVERY), Some(one - MARGIN));
    }
}
