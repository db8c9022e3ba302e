//! What somebody is typing at the cursor, and the query without it: the question behind every completion.

use super::{
    Query, keys,
    lex::{Kind, Token, tokens_so_far},
};

/// The part of a query that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// A word, or the beginning of a key.
    Word(String),
    /// The value of a key, so far without its quotes.
    Value {
        /// The key as it is printed.
        key: &'static str,
        /// What is typed of the value.
        typed: String,
    },
}

/// What is being typed, where it stands, and all the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The part at the cursor.
    pub slot: Slot,
    /// Characters before the part.
    pub from: usize,
    /// Characters before what follows the part.
    pub to: usize,
    /// The query without the condition at the cursor; everything, where that cannot be understood.
    pub rest: Query,
}

impl Completion {
    /// Finds what is being typed in `text` with `at` characters before the cursor.
    pub fn at(text: &str, at: usize) -> Self {
        let tokens = tokens_so_far(text);
        let under = tokens.iter().find(|token| token.at < at && at <= token.end);
        let nothing = || Self { slot: Slot::Word(String::new()), from: at, to: at, rest: without(text, &tokens, None) };
        let Some(token) = under else { return nothing() };
        let rest = without(text, &tokens, Some(token));
        match &token.kind {
            Kind::Words(_) | Kind::Phrase(_) => {
                let typed = slice(text, token.at, at).trim_matches('"').to_owned();
                Self { slot: Slot::Word(typed), from: token.at, to: token.end, rest }
            }
            Kind::Pair { key, value_at, is_quoted, .. } if at >= *value_at => {
                let Some(key) = keys::find(key) else { return nothing() };
                let mut from = *value_at;
                if matches!(key, "type" | "has" | "is" | "label" | "pick") {
                    // Values of a list are completed one by one.
                    let before = slice(text, from, at);
                    from += before.rfind('|').map_or(0, |bar| before[..=bar].chars().count());
                }
                let typed = slice(text, from, at).to_owned();
                Self { slot: Slot::Value { key, typed }, from: from - usize::from(*is_quoted), to: token.end, rest }
            }
            Kind::Pair { .. } => Self { slot: Slot::Word(slice(text, token.at, at).to_owned()), from: token.at, to: token.end, rest },
            Kind::Open | Kind::Close | Kind::Or | Kind::And | Kind::Not => nothing(),
        }
    }
}

/// The text from one character until before another.
fn slice(text: &str, from: usize, to: usize) -> &str {
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    text.get(byte(from)..byte(to)).unwrap_or_default()
}

/// The query without one token and the negations before it.
fn without(text: &str, tokens: &[Token], gone: Option<&Token>) -> Query {
    let Some(gone) = gone else { return text.parse().unwrap_or_default() };
    let negations = tokens.iter().rev().skip_while(|token| token.at >= gone.at).take_while(|token| token.kind == Kind::Not);
    let from = negations.last().map_or(gone.at, |token| token.at);
    format!("{} {}", slice(text, 0, from), slice(text, gone.end, usize::MAX)).parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `^` stands for the cursor.
    fn complete(text: &str) -> Completion {
        let at = text.chars().position(|c| c == '^').unwrap();
        Completion::at(&text.replace('^', ""), at)
    }

    fn value(key: &'static str, typed: &str) -> Slot {
        Slot::Value { key, typed: typed.to_owned() }
    }

    #[test]
    fn the_part_at_the_cursor_is_found() {
        for (text, slot, from, to) in [
            ("^", Slot::Word(String::new()), 0, 0),
            ("zoé cam^", Slot::Word("cam".to_owned()), 4, 7),
            ("cam^era:x", Slot::Word("cam".to_owned()), 0, 8),
            ("camera:^", value("camera", ""), 7, 7),
            ("Camera:Ca^non x", value("camera", "Ca"), 7, 12),
            ("camera:\"Canon E^", value("camera", "Canon E"), 7, 15),
            ("-tag:an^", value("tag", "an"), 5, 7),
            ("has:gps|r^", value("has", "r"), 8, 9),
            ("a ^ b", Slot::Word(String::new()), 2, 2),
        ] {
            let found = complete(text);
            assert_eq!((found.slot, found.from, found.to), (slot, from, to), "{text}");
        }
    }

    #[test]
    fn the_rest_is_the_query_without_it() {
        for (text, rest) in [
            ("lake camera:Ca^", "lake"),
            ("lake -camera:Ca^ year:2019", "lake year:2019"),
            ("camera:\"Can^", ""),
            ("lake ^", "lake"),
            ("(a OR b^)", ""),
            ("lake rating:^", "lake"),
        ] {
            assert_eq!(complete(text).rest.to_string(), rest, "{text}");
        }
    }

    #[test]
    fn a_cursor_outside_the_text_is_at_its_end() {
        assert_eq!(Completion::at("ab", 99).slot, Slot::Word(String::new()));
    }
}
