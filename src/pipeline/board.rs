//! Which images are waiting, which are in the making, and which must wait before they are tried again. Plain state, no threads.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::models::{ImageId, VaultId};

const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// How long a vault whose disk is not there is left alone.
const ABSENCE: Duration = Duration::from_secs(60);
/// A page that nobody looks at any more is dropped rather than worked off.
const MOST_URGENT: usize = 2_000;
/// Beyond this many, the oldest waits are forgotten: trying again too early costs little.
const MOST_WAITS: usize = 50_000;

/// Why a picture is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Someone looks at the place where it should be.
    Wanted,
    /// The database says that it is lacking.
    Lacking,
}

/// The state of the work.
#[derive(Debug, Default)]
pub(super) struct Board {
    urgent: VecDeque<ImageId>,
    background: VecDeque<ImageId>,
    in_the_making: HashSet<ImageId>,
    waits: HashMap<ImageId, (u32, Instant)>,
    /// Vaults whose disk was not there, and until when they are left alone.
    absent: HashMap<VaultId, Instant>,
}

impl Board {
    /// Someone looks: the newest wish goes first.
    pub(super) fn want(&mut self, images: impl IntoIterator<Item = ImageId>) {
        for image in images {
            if !self.in_the_making.contains(&image) && !self.urgent.contains(&image) {
                self.urgent.push_front(image);
            }
        }
        self.urgent.truncate(MOST_URGENT);
    }

    /// Adds to the background, except what must wait or is being made.
    pub(super) fn add_lacking(&mut self, images: impl IntoIterator<Item = ImageId>, now: Instant) {
        for image in images {
            let must_wait = self.waits.get(&image).is_some_and(|(_, until)| *until > now);
            if !must_wait && !self.in_the_making.contains(&image) {
                self.background.push_back(image);
            }
        }
    }

    /// The next one, marked as in the making.
    pub(super) fn take(&mut self) -> Option<(ImageId, Reason)> {
        loop {
            let next = match self.urgent.pop_front() {
                Some(image) => (image, Reason::Wanted),
                None => (self.background.pop_front()?, Reason::Lacking),
            };
            if self.in_the_making.insert(next.0) {
                return Some(next);
            }
        }
    }

    /// It is done with, for good or until its files change.
    pub(super) fn finish(&mut self, image: ImageId) {
        self.in_the_making.remove(&image);
        self.waits.remove(&image);
    }

    /// It cannot be made now; each time it waits twice as long.
    pub(super) fn postpone(&mut self, image: ImageId, now: Instant) {
        self.in_the_making.remove(&image);
        if self.waits.len() >= MOST_WAITS {
            self.waits.clear();
        }
        let (times, until) = self.waits.entry(image).or_insert((0, now));
        *until = now + FIRST_WAIT.saturating_mul(1 << (*times).min(10)).min(LONGEST_WAIT);
        *times += 1;
    }

    /// Its disk was not there: the background leaves the vault alone for a while.
    pub(super) fn note_absent(&mut self, vault: VaultId, now: Instant) {
        self.absent.insert(vault, now + ABSENCE);
    }

    /// Vaults to leave alone.
    pub(super) fn absent_vaults(&mut self, now: Instant) -> Vec<VaultId> {
        self.absent.retain(|_, until| *until > now);
        self.absent.keys().copied().collect()
    }

    /// When the first of those that wait may be tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.waits.values().map(|(_, until)| *until).chain(self.absent.values().copied()).min()
    }

    /// Whether nothing is waited for and nothing is being made.
    pub(super) fn is_at_rest(&self) -> bool {
        self.urgent.is_empty() && self.background.is_empty() && self.in_the_making.is_empty()
    }

    /// How many wait in the background.
    pub(super) fn background_len(&self) -> usize {
        self.background.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_a_screen_goes_first_and_nothing_is_made_twice_at_once() {
        let now = Instant::now();
        let mut board = Board::default();
        board.add_lacking([1, 2, 3].map(ImageId), now);
        board.want([3, 4, 4].map(ImageId));
        let taken: Vec<_> = std::iter::from_fn(|| board.take()).collect();
        let wanted = |id| (ImageId(id), Reason::Wanted);
        assert_eq!(taken, [wanted(4), wanted(3), (ImageId(1), Reason::Lacking), (ImageId(2), Reason::Lacking)]);
        board.want([ImageId(1)]);
        assert_eq!(board.take(), None);
        board.finish(ImageId(1));
        board.want([ImageId(1)]);
        assert!(!board.is_at_rest());
        assert_eq!(board.take(), Some(wanted(1)));
        assert!(!board.is_at_rest());
        [1, 2, 3, 4].map(ImageId).into_iter().for_each(|image| board.finish(image));
        assert!(board.is_at_rest());
    }

    #[test]
    fn waits_double_and_end_with_success() {
        let now = Instant::now();
        let mut board = Board::default();
        for (times, expected) in [(1, 30), (2, 60), (3, 120)] {
            board.postpone(ImageId(1), now);
            assert_eq!(board.next_retry(), Some(now + Duration::from_secs(expected)), "after {times}");
        }
        board.add_lacking([ImageId(1)], now + Duration::from_secs(119));
        assert_eq!(board.take(), None);
        board.add_lacking([ImageId(1)], now + Duration::from_secs(121));
        assert!(board.take().is_some());
        board.finish(ImageId(1));
        assert_eq!(board.next_retry(), None);
    }

    #[test]
    fn an_absent_vault_is_asked_again_after_a_while() {
        let now = Instant::now();
        let mut board = Board::default();
        board.note_absent(VaultId(7), now);
        assert_eq!(board.absent_vaults(now), [VaultId(7)]);
        assert_eq!(board.next_retry(), Some(now + ABSENCE));
        assert!(board.absent_vaults(now + ABSENCE).is_empty());
    }

    #[test]
    fn someone_who_looks_does_not_wait() {
        let mut board = Board::default();
        board.postpone(ImageId(1), Instant::now());
        board.want([ImageId(1)]);
        assert_eq!(board.take(), Some((ImageId(1), Reason::Wanted)));
    }
}
