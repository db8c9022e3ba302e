//! The search language: what a person types into the box, an address carries as `q=` and the API takes, as a value.
//!
//! `text → tokens (lex) → Query (parse) → text (print)`. A printed query is read back as the same query; nothing here knows the
//! database, `db::query` writes a query as conditions. Length, number of conditions and depth are bounded, so that no text can
//! make the server work for long.
//!
//! ```
//! use hm::models::Query;
//! let query: Query = "lake rating:>=3 (camera:\"EOS R5\" OR -type:raw)".parse().unwrap();
//! assert_eq!(query.to_string(), "lake rating:>=3 (camera:\"EOS R5\" OR -type:raw)");
//! let error = "lake ratng:3".parse::<Query>().unwrap_err();
//! assert_eq!((error.at, error.suggestion.as_deref()), (5, Some("rating")));
//! ```

mod complete;
mod error;
mod keys;
mod lex;
mod parse;
mod print;
mod terms;
mod value;

pub use complete::{Completion, Slot};
pub use error::QueryError;
pub use keys::{KEYS, KeyHelp};
pub use terms::{Area, EARTH_RADIUS_M, FileType, Has, Is, Like, Name, Near, PartialDate, Term};
pub use value::Bounds;

/// Longest text of a query, in characters.
pub const LONGEST_QUERY: usize = 2000;
/// Most conditions in a query.
pub const MOST_TERMS: usize = 64;
/// Deepest nesting of parentheses and negations.
pub const DEEPEST: usize = 24;

/// Which images are asked for. The default, an empty `And`, means all of them.
///
/// A query that was parsed is in normal form: `And` and `Or` hold two or more parts (the empty `And` excepted), and none of
/// their own kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// All of these hold.
    And(Vec<Query>),
    /// One of these holds.
    Or(Vec<Query>),
    /// This does not hold.
    Not(Box<Query>),
    /// One condition.
    Term(Term),
}

impl Default for Query {
    fn default() -> Self {
        Self::And(Vec::new())
    }
}

impl Query {
    /// Whether every image passes because nothing is asked.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::And(parts) if parts.is_empty())
    }

    /// All of these, in normal form.
    pub fn all(parts: impl IntoIterator<Item = Query>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::And(flat) }
    }

    /// One of these, in normal form; of none it is [`Self::default`].
    pub fn any(parts: impl IntoIterator<Item = Query>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::default(),
            1 => flat.remove(0),
            _ => Self::Or(flat),
        }
    }

    /// The parts that must all hold: of an `And` its parts, of anything else itself.
    pub fn conjuncts(&self) -> &[Query] {
        match self {
            Self::And(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    /// What the images are put into order by, if by anything: a parsed query has one `like:` at most, and it must hold.
    pub fn like(&self) -> Option<&Like> {
        self.conjuncts().iter().find_map(|part| match part {
            Self::Term(Term::Like(like)) => Some(like),
            _ => None,
        })
    }

    /// The conditions alone: all of it but the `like:`.
    pub fn without_like(&self) -> Self {
        Self::all(self.conjuncts().iter().filter(|part| !matches!(part, Self::Term(Term::Like(_)))).cloned())
    }

    /// The words that must all occur, as they were typed, and the other conditions; `None` where there are no such words.
    pub fn words_and_rest(&self) -> Option<(String, Self)> {
        let text = |part: &Self| match part {
            Self::Term(Term::Words(text) | Term::Phrase(text)) => Some(text.clone()),
            _ => None,
        };
        let words: Vec<String> = self.conjuncts().iter().filter_map(text).collect();
        let rest = Self::all(self.conjuncts().iter().filter(|part| text(part).is_none()).cloned());
        (!words.is_empty()).then(|| (words.join(" "), rest))
    }
}

impl From<Term> for Query {
    fn from(term: Term) -> Self {
        Self::Term(term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_orders_the_images_is_told_from_what_they_must_have() {
        let query: Query = "lake like:snow rating:5".parse().unwrap();
        assert_eq!(query.like(), Some(&Like::Words("snow".into())));
        assert_eq!(query.without_like().to_string(), "lake rating:5");
        let alone: Query = "like:image:7".parse().unwrap();
        assert!(alone.like().is_some() && alone.without_like().is_all());
        assert_eq!("lake".parse::<Query>().unwrap().like(), None);
    }

    #[test]
    fn the_words_of_a_search_are_what_its_pictures_may_show() {
        let parts = |text: &str| text.parse::<Query>().unwrap().words_and_rest().map(|(words, rest)| format!("{words} / {rest}"));
        assert_eq!(parts("a red rating:5 truck").as_deref(), Some("a red truck / rating:5"));
        assert_eq!(parts("\"red truck\" -snow").as_deref(), Some("red truck / -snow"));
        assert_eq!(parts("rating:5 (lake OR sea)"), None);
        assert_eq!(parts("-lake"), None);
    }
}
