//! How a change here and a change in the vault come together, field by field.
//!
//! Three values are compared: what the vault said when the person changed the field (the base), what the person said (ours), and what the
//! vault says now (theirs). Nothing is ever overwritten silently: what both sides changed differently is a conflict, and keywords, being
//! sets, are merged.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Keywords, Value, names};
use crate::models::UnknownName;

/// What becomes of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Merge {
    /// Both sides say the same.
    Same,
    /// The vault says what it said before: ours is the news.
    KeepOurs,
    /// Ours is what the vault said before: theirs is the news.
    TakeTheirs,
    /// Both sides changed it, and this has both changes in it.
    Both(Value),
    /// Both sides changed it, differently.
    Conflict,
}

/// Compares three values of one field.
pub fn merge(base: &Value, ours: &Value, theirs: &Value) -> Merge {
    if ours == theirs {
        return Merge::Same;
    }
    if let (Value::Keywords(base), Value::Keywords(ours), Value::Keywords(theirs)) = (base, ours, theirs) {
        return merge_keywords(base, ours, theirs);
    }
    if theirs.says_same(base) {
        Merge::KeepOurs
    } else if ours.says_same(theirs) {
        Merge::Same
    } else if ours == base {
        Merge::TakeTheirs
    } else {
        Merge::Conflict
    }
}

fn merge_keywords(base: &Keywords, ours: &Keywords, theirs: &Keywords) -> Merge {
    let merged = Keywords::merge(base, ours, theirs);
    match merged {
        merged if merged == *ours => Merge::KeepOurs,
        merged if merged == *theirs => Merge::TakeTheirs,
        merged => Merge::Both(Value::Keywords(merged)),
    }
}

names! {
    /// How far a person's value is on its way to the vault.
    WriteState {
        /// The vault has yet to be told.
        Pending = "pending",
        /// The vault says it.
        Written = "written",
        /// It could not be written; the reason is kept, and it is tried again.
        Failed = "failed",
        /// The vault says something else that is also new: a person has to choose.
        Conflict = "conflict",
    }
}

/// A person's value as it stands between library and vault.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What the person said: what everybody is shown.
    pub value: Value,
    /// What the vault said when it was last compared; `None` where the image's files changed hands since, so that nobody knows.
    pub base: Option<Value>,
    /// How far it is.
    pub state: WriteState,
    /// In a conflict: what the vault says instead.
    pub outside: Option<Value>,
}

/// What a person's new value makes of a field that shows `before` now. `Written` means that the vault says it already: nothing is left to
/// be done.
///
/// In a conflict the new value is the new side of it: only a choice between both ends it.
pub fn change_standing(existing: Option<&Standing>, before: &Value, after: Value) -> Standing {
    let (base, state, outside) = match existing {
        None => (Some(before.clone()), WriteState::Pending, None),
        Some(existing) if existing.state == WriteState::Conflict => match &existing.outside {
            Some(outside) if *outside == after => (existing.outside.clone(), WriteState::Written, None),
            outside => (existing.base.clone(), WriteState::Conflict, outside.clone()),
        },
        Some(existing) => (existing.base.clone(), WriteState::Pending, None),
    };
    let state = if state == WriteState::Pending && base.as_ref() == Some(&after) { WriteState::Written } else { state };
    Standing { value: after, base, state, outside }
}

/// What a look at the vault changes about a [`Standing`].
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// As it stands now.
    pub standing: Standing,
    /// What was shown before, where the vault changed what is shown.
    pub replaced: Option<Value>,
}

/// What became of the sidecar that a value was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sidecar {
    /// It is byte for byte as `hm` wrote it: whatever the vault says now, it says because of us or in spite of us, and is no news.
    OwnHand,
    /// Anybody may have written what is there.
    Anybodys,
    /// It was there and is gone. Who removes a file says nothing about what was in it.
    Gone,
}

/// Compares a person's value with what the vault says now.
///
/// An unwritten value is never overwritten. One that was written gives way to what somebody says there later; but not to silence because
/// the sidecar is gone: then it waits to be written again.
pub fn reconcile(before: &Standing, theirs: &Value, sidecar: Sidecar) -> Outcome {
    let kept = |state, base: &Value| Outcome {
        standing: Standing { value: before.value.clone(), base: Some(base.clone()), state, outside: None },
        replaced: None,
    };
    let taken = |value: &Value, state| Outcome {
        standing: Standing { value: value.clone(), base: Some(theirs.clone()), state, outside: None },
        replaced: (*value != before.value).then(|| before.value.clone()),
    };
    let base = match &before.base {
        Some(base) if sidecar != Sidecar::OwnHand => base,
        _ => theirs,
    };
    let waiting = if before.state == WriteState::Conflict { WriteState::Pending } else { before.state };
    let conflict = || Outcome {
        standing: Standing { state: WriteState::Conflict, outside: Some(theirs.clone()), base: Some(base.clone()), ..before.clone() },
        replaced: None,
    };
    if before.state == WriteState::Written {
        return match sidecar {
            _ if theirs.says_same(base) || theirs.says_same(&before.value) => kept(WriteState::Written, theirs),
            Sidecar::Gone if theirs.is_silent() => kept(WriteState::Pending, theirs),
            Sidecar::Gone => conflict(),
            Sidecar::OwnHand | Sidecar::Anybodys => taken(theirs, WriteState::Written),
        };
    }
    match merge(base, &before.value, theirs) {
        Merge::Same => kept(WriteState::Written, theirs),
        Merge::KeepOurs => kept(waiting, theirs),
        Merge::TakeTheirs => taken(theirs, WriteState::Written),
        Merge::Both(both) => taken(&both, WriteState::Pending),
        Merge::Conflict => conflict(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::edit::{Place, keywords::tests::any_keywords};

    fn any_value() -> impl Strategy<Value = (Value, Value, Value)> {
        let rating = || prop::option::of(-1i8..=2).prop_map(Value::Rating);
        let title = || prop::option::of("[ab]").prop_map(Value::Title);
        let keywords = || any_keywords().prop_map(Value::Keywords);
        let place = || prop::option::of("[ab]").prop_map(|city| Value::Place(Place { city, ..Place::default() }));
        prop_oneof![
            (rating(), rating(), rating()),
            (title(), title(), title()),
            (keywords(), keywords(), keywords()),
            (place(), place(), place()),
        ]
    }

    fn result(base: &Value, ours: &Value, theirs: &Value) -> Option<Value> {
        match merge(base, ours, theirs) {
            Merge::Same | Merge::KeepOurs => Some(ours.clone()),
            Merge::TakeTheirs => Some(theirs.clone()),
            Merge::Both(both) => Some(both),
            Merge::Conflict => None,
        }
    }

    fn rating(stars: i8) -> Value {
        Value::Rating(Some(stars))
    }

    fn standing(value: i8, base: i8, state: WriteState) -> Standing {
        Standing { value: rating(value), base: Some(rating(base)), state, outside: None }
    }

    proptest! {
        #[test]
        fn merging_has_no_favourite((base, ours, theirs) in any_value()) {
            match (result(&base, &ours, &theirs), result(&base, &theirs, &ours)) {
                (Some(one), Some(other)) => prop_assert!(one.says_same(&other), "{one:?} {other:?}"),
                (one, other) => {
                    // "Unrated" against silence is the one thing that is not symmetric: it is news only from a person.
                    let quiet = |value: &Value| matches!(value, Value::Rating(None | Some(0)));
                    prop_assert!(one == other || (quiet(&base) && (quiet(&ours) || quiet(&theirs))), "{one:?} {other:?}");
                }
            }
        }

        #[test]
        fn who_changed_nothing_loses_nothing((base, ours, theirs) in any_value()) {
            prop_assert_eq!(result(&base, &ours, &base), Some(ours.clone()));
            prop_assert_eq!(result(&base, &ours, &ours), Some(ours.clone()));
            let from_base = result(&base, &base, &theirs);
            prop_assert!(from_base.is_some_and(|value| value.says_same(&theirs)));
        }

        #[test]
        fn keywords_never_conflict(base in any_keywords(), ours in any_keywords(), theirs in any_keywords()) {
            prop_assert_ne!(merge(&Value::Keywords(base), &Value::Keywords(ours), &Value::Keywords(theirs)), Merge::Conflict);
        }

        /// Whatever happens in the vault, what a person said and nobody wrote is still said, or stands in a conflict.
        #[test]
        fn an_unwritten_value_outlives_every_look((base, ours, first) in any_value(), looks in prop::collection::vec(0usize..3, 0..5)) {
            prop_assume!(ours != base);
            let values = [base.clone(), ours.clone(), first];
            let mut now = Standing { value: ours.clone(), base: Some(base.clone()), state: WriteState::Pending, outside: None };
            for look in looks {
                let outcome = reconcile(&now, &values[look], Sidecar::Anybodys);
                prop_assert_eq!(&reconcile(&outcome.standing, &values[look], Sidecar::Anybodys).standing, &outcome.standing, "twice is once");
                prop_assert_eq!(outcome.standing.state == WriteState::Conflict, outcome.standing.outside.is_some());
                now = outcome.standing;
                if now.state == WriteState::Written {
                    prop_assert!(values[look].says_same(&now.value));
                    break;
                }
                if !matches!(ours, Value::Keywords(_)) {
                    prop_assert_eq!(&now.value, &ours);
                }
            }
        }
    }

    #[test]
    fn a_change_taken_back_before_it_was_written_leaves_nothing_to_do() {
        let first = change_standing(None, &rating(3), rating(5));
        assert_eq!(first, standing(5, 3, WriteState::Pending));
        assert_eq!(change_standing(Some(&first), &rating(5), rating(4)), standing(4, 3, WriteState::Pending));
        assert_eq!(change_standing(Some(&first), &rating(5), rating(3)), standing(3, 3, WriteState::Written));
        assert_eq!(change_standing(Some(&standing(5, 5, WriteState::Written)), &rating(5), rating(3)), standing(3, 5, WriteState::Pending));
        assert_eq!(change_standing(Some(&standing(5, 3, WriteState::Failed)), &rating(5), rating(1)), standing(1, 3, WriteState::Pending));
    }

    #[test]
    fn a_new_value_does_not_end_a_conflict_unless_it_is_the_other_side() {
        let conflict = Standing { outside: Some(rating(1)), ..standing(5, 3, WriteState::Conflict) };
        assert_eq!(change_standing(Some(&conflict), &rating(5), rating(4)), Standing { value: rating(4), ..conflict.clone() });
        assert_eq!(change_standing(Some(&conflict), &rating(5), rating(1)), standing(1, 1, WriteState::Written));
    }

    #[test]
    fn an_edit_waits_until_the_vault_says_it() {
        let waiting = standing(5, 3, WriteState::Pending);
        assert_eq!(reconcile(&waiting, &rating(3), Sidecar::Anybodys).standing, waiting);
        let written = reconcile(&waiting, &rating(5), Sidecar::Anybodys);
        assert_eq!((written.standing, written.replaced), (standing(5, 5, WriteState::Written), None));
        let failed = standing(5, 3, WriteState::Failed);
        assert_eq!(reconcile(&failed, &rating(3), Sidecar::Anybodys).standing, failed);
    }

    #[test]
    fn what_was_written_gives_way_to_what_is_said_later() {
        let outcome = reconcile(&standing(5, 5, WriteState::Written), &rating(2), Sidecar::Anybodys);
        assert_eq!((outcome.standing, outcome.replaced), (standing(2, 2, WriteState::Written), Some(rating(5))));
    }

    #[test]
    fn our_own_hand_is_no_news() {
        // The original's own rating shows through the sidecar that should cover it.
        let outcome = reconcile(&standing(0, 0, WriteState::Written), &rating(4), Sidecar::OwnHand);
        assert_eq!((outcome.standing, outcome.replaced), (standing(0, 4, WriteState::Written), None));
        let again = reconcile(&standing(0, 4, WriteState::Written), &rating(4), Sidecar::Anybodys);
        assert_eq!(again.replaced, None);
    }

    #[test]
    fn a_sidecar_that_is_gone_takes_nothing_along() {
        let written = standing(5, 5, WriteState::Written);
        assert_eq!(reconcile(&written, &Value::Rating(None), Sidecar::Gone).standing.state, WriteState::Pending);
        let other = reconcile(&written, &rating(2), Sidecar::Gone);
        assert_eq!(other.standing, Standing { outside: Some(rating(2)), ..standing(5, 5, WriteState::Conflict) });
        assert_eq!(reconcile(&written, &rating(5), Sidecar::Gone).standing, written);
        assert_eq!(reconcile(&standing(5, 3, WriteState::Pending), &rating(3), Sidecar::Gone).standing.state, WriteState::Pending);
    }

    #[test]
    fn a_conflict_has_both_values_and_ends_when_one_side_yields() {
        let both = reconcile(&standing(5, 3, WriteState::Pending), &rating(1), Sidecar::Anybodys).standing;
        assert_eq!(both, Standing { outside: Some(rating(1)), ..standing(5, 3, WriteState::Conflict) });
        let other = reconcile(&both, &rating(2), Sidecar::Anybodys).standing;
        assert_eq!(other.outside, Some(rating(2)));
        assert_eq!(reconcile(&both, &rating(3), Sidecar::Anybodys).standing, standing(5, 3, WriteState::Pending));
        assert_eq!(reconcile(&both, &rating(5), Sidecar::Anybodys).standing, standing(5, 5, WriteState::Written));
    }

    #[test]
    fn keywords_of_both_sides_come_together_and_wait_to_be_written() {
        let value = |list: &[&str]| Value::Keywords(Keywords::new(list.iter().copied(), [""; 0]));
        let before = Standing { value: value(&["a", "b"]), base: Some(value(&["a"])), state: WriteState::Pending, outside: None };
        let outcome = reconcile(&before, &value(&["c"]), Sidecar::Anybodys);
        assert_eq!(outcome.replaced, Some(value(&["a", "b"])));
        let expected = Standing { value: value(&["b", "c"]), base: Some(value(&["c"])), state: WriteState::Pending, outside: None };
        assert_eq!(outcome.standing, expected);
    }

    #[test]
    fn where_nobody_knows_what_the_vault_said_ours_is_the_news() {
        let before = Standing { value: rating(5), base: None, state: WriteState::Pending, outside: None };
        assert_eq!(reconcile(&before, &rating(1), Sidecar::Anybodys).standing, standing(5, 1, WriteState::Pending));
    }
}
