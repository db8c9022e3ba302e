//! Pages of long lists: how long they are, and whether another follows.

use super::edits::bad;
use crate::web::WebError;

/// Entries of a page.
const PAGE: i64 = 100;
const MOST_ENTRIES: i64 = 500;

/// The `limit` of an address.
pub(super) fn limit_of(limit: Option<&str>) -> Result<i64, WebError> {
    let Some(limit) = limit.filter(|limit| !limit.is_empty()) else { return Ok(PAGE) };
    let number = limit.parse().ok().filter(|limit| (1..=MOST_ENTRIES).contains(limit));
    number.ok_or_else(|| bad(format!("`limit={limit}` is not understood: expected a number from 1 to {MOST_ENTRIES}")))
}

/// Parts a page from the one entry more that was asked for.
pub(super) fn page<T>(mut entries: Vec<T>, limit: i64) -> (Vec<T>, bool) {
    let has_more = entries.len() as i64 > limit;
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    (entries, has_more)
}
