//! Groups of images to review: copies of files, bursts, and pictures that look alike. A person decides; nothing acts on them unasked.
//!
//! ```text
//! copies   files by content, in the order of an index  → images that share one → groups, each at the first content they share
//! bursts   the timeline, a stretch at a time           → what one camera took within seconds
//! alike    the timeline, a stretch at a time           → vectors of a network that are nearly one, within minutes
//! ```
//!
//! No list of groups is kept: each page looks on from where the one before ended, in bounded steps, until it is full or its time is up. What
//! a person rejects drops out of its group by itself, two that are both picked are not held against each other, and both come back when that is
//! undone; [`set_apart`] remembers what they say is no duplicate.

mod apart;
mod copies;
mod members;

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use diesel::{PgConnection, QueryResult};

pub(super) use self::apart::{carry_apart, without_apart};
pub use self::{
    apart::{Apart, count_apart, forget_apart, list_apart, set_apart},
    members::{Member, MemberFile, list_members},
};
use super::alike::{AlikeGroup, AlikeStretch, Likeness, list_alike, list_bursts};
use crate::models::{Cursor, ImageId, NetworkId};

/// Images of a group that are shown at once: the others follow when these are decided.
pub const MOST_SHOWN: usize = 24;

/// By what images belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of each is the same, by size and content.
    Copies,
    /// One camera took them within seconds.
    Bursts,
    /// A network sees nearly the same in them, and they were taken within minutes.
    Alike,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Copies, Self::Bursts, Self::Alike];

    /// The word in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copies => "copies",
            Self::Bursts => "bursts",
            Self::Alike => "alike",
        }
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// Copies of files.
    Copies,
    /// Bursts.
    Bursts,
    /// What this network sees nearly the same in.
    Alike(NetworkId, Likeness),
}

/// Where a page of groups begins: just behind a content, or a place in the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Of copies: `files.fingerprint`, written in hexadecimal.
    Content(Vec<u8>),
    /// Of everything else.
    Moment(Cursor),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Moment(cursor) => cursor.fmt(f),
        }
    }
}

/// The text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a place from an earlier page")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16);
            return (0..32).step_by(2).map(byte).collect::<Result<_, _>>().map(Self::Content).map_err(|_| NoPlace);
        }
        text.parse().map(Self::Moment).map_err(|_| NoPlace)
    }
}

/// Images to choose from.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Two to [`MOST_SHOWN`], newest first.
    pub images: Vec<ImageId>,
    /// How many there are, with those that are not shown yet.
    pub count: usize,
    /// The smallest cosine by which one of them was found; 1 where no vectors were compared.
    pub cosine: f64,
}

impl From<AlikeGroup> for Group {
    fn from(group: AlikeGroup) -> Self {
        let AlikeGroup { mut images, cosine, .. } = group;
        let count = images.len();
        images.truncate(MOST_SHOWN);
        Self { images, count, cosine }
    }
}

/// A page of groups.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupsPage {
    /// As many as were asked for, a few more where they overlap, or fewer where looking for them took too long.
    pub groups: Vec<Group>,
    /// Where to go on; `None` at the end.
    pub next: Option<Place>,
}

/// Finds groups from a place on, or from the beginning: about `limit`, and in about as much time as `patience`.
///
/// # Errors
/// When the database fails, as it does for [`Asked::Alike`] where it cannot hold vectors.
pub fn list_groups(
    conn: &mut PgConnection,
    asked: Asked,
    after: Option<&Place>,
    limit: usize,
    patience: Duration,
) -> QueryResult<GroupsPage> {
    let until = Instant::now() + patience;
    let mut page = GroupsPage { groups: Vec::new(), next: after.cloned() };
    loop {
        let lacking = limit.saturating_sub(page.groups.len()).max(1);
        let moment = match &page.next {
            Some(Place::Moment(cursor)) => Some(*cursor),
            _ => None,
        };
        let (found, next) = match asked {
            Asked::Copies => {
                let content = match &page.next {
                    Some(Place::Content(content)) => content.as_slice(),
                    _ => &[],
                };
                copies::step(conn, content, lacking)?
            }
            Asked::Bursts => cut(list_bursts(conn, moment)?, lacking),
            Asked::Alike(network, likeness) => cut(list_alike(conn, network, likeness, moment)?, lacking),
        };
        page.groups.extend(found.into_iter().map(Group::from));
        page.next = next;
        if page.next.is_none() || page.groups.len() >= limit || Instant::now() >= until {
            return Ok(page);
        }
    }
}

/// The first groups of a stretch, and where the next begin: only where none of the first reaches beyond it, so that none is parted.
fn cut(stretch: AlikeStretch, most: usize) -> (Vec<AlikeGroup>, Option<Place>) {
    let AlikeStretch { mut groups, next } = stretch;
    let mut reach: Option<Cursor> = None;
    for at in 0..groups.len() {
        let newest = groups[at].newest;
        if at >= most && reach.is_some_and(|reach| newest < reach) {
            groups.truncate(at);
            let next = Cursor { captured_at: newest.captured_at, image: ImageId(newest.image.0.saturating_add(1)) };
            return (groups, Some(Place::Moment(next)));
        }
        let oldest = groups[at].oldest;
        reach = Some(reach.map_or(oldest, |reach| reach.min(oldest)));
    }
    (groups, next.map(Place::Moment))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn group(newest: i64, oldest: i64) -> AlikeGroup {
        let cursor = |at| Cursor { captured_at: chrono::DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::seconds(at), image: ImageId(at) };
        AlikeGroup { images: vec![ImageId(newest), ImageId(oldest)], cosine: 1.0, newest: cursor(newest), oldest: cursor(oldest) }
    }

    #[test]
    fn a_page_ends_where_no_group_is_parted() {
        let groups = vec![group(90, 80), group(70, 40), group(60, 50), group(30, 20)];
        let stretch = || AlikeStretch { groups: groups.clone(), next: None };
        let newest = |most| {
            let (groups, next) = cut(stretch(), most);
            (groups.len(), next.map(|next| next.to_string().rsplit_once('-').unwrap().1.to_owned()))
        };
        assert_eq!(newest(1), (1, Some("71".to_owned())));
        assert_eq!(newest(2), (3, Some("31".to_owned())), "the third lies within the second");
        assert_eq!(newest(4), (4, None));
        let beyond = AlikeStretch { groups: Vec::new(), next: Some(group(5, 4).newest) };
        assert_eq!(cut(beyond.clone(), 3), (Vec::new(), beyond.next.map(Place::Moment)));
    }

    #[test]
    fn a_place_survives_its_text_form() {
        for text in ["00112233445566778899aabbccddeeff", "20190803T123300.123456-4711"] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(text.to_owned()));
        }
        for bad in ["", "0011", "00112233445566778899aabbccddeefg", "20190803"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_long_group_shows_its_first_images() {
        let images: Vec<ImageId> = (0..40).rev().map(ImageId).collect();
        let group = Group::from(AlikeGroup { images: images.clone(), ..group(39, 0) });
        assert_eq!((group.images.as_slice(), group.count), (&images[..MOST_SHOWN], 40));
    }
}
