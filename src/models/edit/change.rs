//! What one action does to an image, whatever the image says now: set a value, step the stars, add or remove keywords, move the clock.

use chrono::TimeDelta;

use super::{EditError, Field, Keywords, TakenAt, Value};

/// What an action does to each of its images.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Says this from now on.
    Set(Value),
    /// More or fewer stars, from none to five. What is rejected counts as none, and stays rejected where there should be fewer.
    StepRating(i8),
    /// Takes "rejected" back; stars stay.
    Unreject,
    /// Adds keywords to those that are there.
    AddKeywords(Keywords),
    /// Removes keywords from those that are there.
    RemoveKeywords(Keywords),
    /// Moves the time by as much: a camera's clock was wrong. The zone stays.
    ShiftTime(TimeDelta),
    /// Names the zone, in minutes east of UTC, or takes it away. The time on the clock stays.
    SetOffset(Option<i16>),
    /// Names the place as its coordinates are called, where nobody has named it.
    NamePlace,
}

impl Change {
    /// The field it changes.
    pub fn field(&self) -> Field {
        match self {
            Self::Set(value) => value.field(),
            Self::StepRating(_) | Self::Unreject => Field::Rating,
            Self::AddKeywords(_) | Self::RemoveKeywords(_) => Field::Keywords,
            Self::ShiftTime(_) | Self::SetOffset(_) => Field::CapturedAt,
            Self::NamePlace => Field::Place,
        }
    }

    /// The same in normal form.
    ///
    /// # Errors
    /// [`EditError`] says what is wrong with it.
    pub fn checked(self) -> Result<Self, EditError> {
        Ok(match self {
            Self::Set(value) => Self::Set(value.checked()?),
            Self::AddKeywords(keywords) => Self::AddKeywords(keywords.checked()?),
            other => other,
        })
    }

    /// What an image says after it that says `current` now. A place that nobody has named is not for this to name: whoever knows the
    /// coordinates does; one that has a name keeps it.
    ///
    /// # Errors
    /// [`EditError`] when the result makes no sense, such as a time in the year 0.
    pub fn apply(&self, current: &Value) -> Result<Value, EditError> {
        match (self, current) {
            (Self::Set(Value::CapturedAt(time)), _) => Ok(Value::CapturedAt(TakenAt { source: None, ..time.clone() })),
            (Self::Set(value), _) => Ok(value.clone()),
            (Self::StepRating(by), Value::Rating(now)) => Ok(Value::Rating(step_rating(*now, *by))),
            (Self::Unreject, Value::Rating(now)) => Ok(Value::Rating(if now.is_some_and(|now| now < 0) { Some(0) } else { *now })),
            (Self::AddKeywords(more), Value::Keywords(now)) => Value::Keywords(now.with(more)).checked(),
            (Self::RemoveKeywords(less), Value::Keywords(now)) => Ok(Value::Keywords(now.without(less))),
            (Self::ShiftTime(by), Value::CapturedAt(now)) => shift_time(now, *by).map(Value::CapturedAt),
            (Self::SetOffset(offset_minutes), Value::CapturedAt(now)) => {
                Value::CapturedAt(TakenAt { local: now.local, offset_minutes: *offset_minutes, source: None }).checked()
            }
            (Self::NamePlace, Value::Place(_)) => Ok(current.clone()),
            (change, current) => Err(EditError::new(change.field(), format!("cannot be changed through `{}`", current.field()))),
        }
    }
}

fn step_rating(now: Option<i8>, by: i8) -> Option<i8> {
    match now {
        Some(now) if now < 0 && by < 0 => Some(now),
        None | Some(0) if by <= 0 => now,
        now => Some(now.unwrap_or(0).max(0).saturating_add(by).clamp(0, 5)),
    }
}

/// Moves a time on the clock; the zone stays.
///
/// # Errors
/// [`EditError`] when it leaves the years that files may name.
pub fn shift_time(time: &TakenAt, by: TimeDelta) -> Result<TakenAt, EditError> {
    let local = time.local.checked_add_signed(by);
    let local = local.ok_or_else(|| EditError::new(Field::CapturedAt, "cannot be moved so far"))?;
    super::checked_time(TakenAt { local, offset_minutes: time.offset_minutes, source: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Value {
        Value::from_json(Field::CapturedAt, &text.into()).unwrap()
    }

    fn keywords(list: &[&str]) -> Keywords {
        Keywords::new(list.iter().copied(), [""; 0])
    }

    #[test]
    fn a_clock_is_moved_and_its_zone_stays() {
        let moved = Change::ShiftTime(TimeDelta::seconds(-3_700)).apply(&time("2019-08-03T00:30:00.500+02:00")).unwrap();
        assert_eq!(moved, time("2019-08-02T23:28:20.500+02:00"));
        assert!(Change::ShiftTime(TimeDelta::days(-200_000)).apply(&time("2019-08-03T00:30:00")).unwrap_err().to_string().contains("1800"));
        assert!(Change::ShiftTime(TimeDelta::MAX).apply(&time("2019-08-03T00:30:00")).is_err());
    }

    #[test]
    fn stars_step_between_none_and_five_and_rejected_is_left_upwards_only() {
        let after = |change: Change, now: Option<i8>| match change.apply(&Value::Rating(now)).unwrap() {
            Value::Rating(rating) => rating,
            other => panic!("{other:?}"),
        };
        let ratings = [None, Some(-1), Some(0), Some(3), Some(5)];
        assert_eq!(ratings.map(|now| after(Change::StepRating(1), now)), [Some(1), Some(1), Some(1), Some(4), Some(5)]);
        assert_eq!(ratings.map(|now| after(Change::StepRating(-1), now)), [None, Some(-1), Some(0), Some(2), Some(4)]);
        assert_eq!(ratings.map(|now| after(Change::Unreject, now)), [None, Some(0), Some(0), Some(3), Some(5)]);
        assert!(Change::Unreject.apply(&Value::Title(None)).is_err());
    }

    #[test]
    fn a_zone_is_named_without_moving_the_clock() {
        let set = |offset| Change::SetOffset(offset).apply(&time("2019-08-03T12:00:00+02:00"));
        assert_eq!(set(Some(-300)), Ok(time("2019-08-03T12:00:00-05:00")));
        assert_eq!(set(None), Ok(time("2019-08-03T12:00:00")));
        assert!(set(Some(1000)).is_err());
    }

    #[test]
    fn keywords_are_added_and_removed() {
        let now = Value::Keywords(keywords(&["vehicle|car", "red"]));
        let after = |change: Change| change.apply(&now).unwrap();
        assert_eq!(after(Change::AddKeywords(keywords(&["blue", "red"]))), Value::Keywords(keywords(&["vehicle|car", "red", "blue"])));
        assert_eq!(after(Change::RemoveKeywords(keywords(&["vehicle|car", "x"]))), Value::Keywords(keywords(&["red"])));
        assert!(Change::AddKeywords(keywords(&["a"])).apply(&Value::Rating(None)).is_err());
    }
}
