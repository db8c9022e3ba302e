//! The tasks in hand: claimed, and neither answered nor given back. Apart, because every stage looks here whether a task is still its own.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A task in hand, within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskNumber(u64);

/// What is held, by number, with what it is answered with.
pub(super) struct Held<R> {
    inner: Mutex<Inner<R>>,
    changed: Condvar,
}

struct Inner<R> {
    next: u64,
    tasks: BTreeMap<TaskNumber, R>,
}

impl<R: Clone + PartialEq> Held<R> {
    pub(super) fn new() -> Self {
        Self { inner: Mutex::new(Inner { next: 0, tasks: BTreeMap::new() }), changed: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a task in hand.
    pub(super) fn add(&self, receipt: R) -> TaskNumber {
        let mut inner = self.inner();
        inner.next += 1;
        let number = TaskNumber(inner.next);
        inner.tasks.insert(number, receipt);
        number
    }

    /// Its receipt, while it is held.
    pub(super) fn receipt(&self, number: TaskNumber) -> Option<R> {
        self.inner().tasks.get(&number).cloned()
    }

    /// Whether it is held.
    pub(super) fn has(&self, number: TaskNumber) -> bool {
        self.inner().tasks.contains_key(&number)
    }

    /// Lets go of tasks.
    pub(super) fn remove(&self, numbers: impl IntoIterator<Item = TaskNumber>) {
        let mut inner = self.inner();
        for number in numbers {
            inner.tasks.remove(&number);
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Lets go of what others have by now.
    pub(super) fn remove_receipts(&self, lost: &[R]) {
        self.inner().tasks.retain(|_, receipt| !lost.contains(receipt));
        self.changed.notify_all();
    }

    /// All receipts.
    pub(super) fn receipts(&self) -> Vec<R> {
        self.inner().tasks.values().cloned().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.inner().tasks.len()
    }

    /// Waits until fewer than `most` are held, no longer than `patience`; how many more there is room for.
    pub(super) fn wait_for_room(&self, most: usize, patience: Duration) -> usize {
        let is_full = |inner: &mut Inner<R>| inner.tasks.len() >= most;
        let waited = self.changed.wait_timeout_while(self.inner(), patience, is_full);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        most.saturating_sub(inner.tasks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_when_tasks_go() {
        let held = Held::new();
        let (one, two) = (held.add("one"), held.add("two"));
        assert_eq!(held.wait_for_room(2, Duration::from_millis(1)), 0);
        held.remove([one]);
        assert_eq!(held.wait_for_room(2, Duration::from_millis(1)), 1);
        assert!(!held.has(one) && held.receipt(two) == Some("two"));
        held.remove_receipts(&["two"]);
        assert_eq!((held.len(), held.receipts()), (0, Vec::new()));
    }
}
