//! A text cut into tokens, each with its place in characters.

use unicode_normalization::UnicodeNormalization;

use super::{super::words, LONGEST_QUERY, QueryError};

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Close,
    Or,
    And,
    /// `-` before something, or `NOT`.
    Not,
    Words(String),
    Phrase(String),
    /// A key and what stands behind its colon.
    Pair {
        key: String,
        value: String,
        is_quoted: bool,
        /// Characters before the value (behind its opening quote).
        value_at: usize,
    },
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Characters before it.
    pub(super) at: usize,
    /// Characters before what follows it.
    pub(super) end: usize,
}

struct Lexer<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
    /// A quote that is not closed ends with the text: somebody is still typing.
    is_lenient: bool,
}

/// Cuts a text.
///
/// # Errors
/// When it is too long, holds a NUL, or a quote is not closed.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    cut(text, false)
}

/// Cuts a text that is still being typed.
pub(super) fn tokens_so_far(text: &str) -> Vec<Token> {
    cut(text, true).unwrap_or_default()
}

fn cut(text: &str, is_lenient: bool) -> Result<Vec<Token>, QueryError> {
    let chars: Vec<char> = text.chars().take(LONGEST_QUERY + 1).collect();
    let mut lexer = Lexer { text, chars, at: 0, is_lenient };
    if lexer.chars.len() > LONGEST_QUERY {
        return Err(lexer.error(LONGEST_QUERY, 0, format!("at most {LONGEST_QUERY} characters")));
    }
    if let Some(at) = lexer.chars.iter().position(|c| *c == '\0') {
        return Err(lexer.error(at, 1, "text without NUL characters"));
    }
    let mut found = Vec::new();
    while let Some(token) = lexer.next()? {
        found.push(token);
    }
    Ok(found)
}

/// Whether a character ends a bare word.
fn is_boundary(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"' | '|')
}

/// Whether a character ends a bare value: `|` stands between the values of a list.
fn ends_value(c: char) -> bool {
    c != '|' && is_boundary(c)
}

impl Lexer<'_> {
    fn error(&self, at: usize, length: usize, expected: impl Into<String>) -> QueryError {
        let found = self.chars.iter().skip(at).take(length).collect();
        QueryError { text: self.text.to_owned(), at, length, found, expected: expected.into(), suggestion: None }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// The characters from here until one that ends them.
    fn run(&self, ends: impl Fn(char) -> bool) -> &[char] {
        let rest = &self.chars[self.at..];
        &rest[..rest.iter().position(|c| ends(*c)).unwrap_or(rest.len())]
    }

    fn next(&mut self) -> Result<Option<Token>, QueryError> {
        loop {
            let Some(first) = self.peek() else { return Ok(None) };
            let at = self.at;
            let sign = match first {
                '(' => Kind::Open,
                ')' => Kind::Close,
                '|' => Kind::Or,
                '-' if self.negates() => Kind::Not,
                '"' => return self.phrase().map(Some),
                c if c.is_whitespace() => {
                    self.at += 1;
                    continue;
                }
                _ => match self.word()? {
                    Some(token) => return Ok(Some(token)),
                    None => continue,
                },
            };
            self.at += 1;
            return Ok(Some(Token { kind: sign, at, end: at + 1 }));
        }
    }

    /// Whether the `-` here stands before something: a lone dash between words is none.
    fn negates(&self) -> bool {
        let run = self.run(is_boundary);
        match self.chars.get(self.at + run.len()) {
            Some('(' | '"') if run.iter().all(|c| *c == '-') => true,
            _ => self.is_word(run),
        }
    }

    fn is_word(&self, run: &[char]) -> bool {
        key_of(run).is_some() || !words(&run.iter().collect::<String>()).is_empty()
    }

    fn phrase(&mut self) -> Result<Token, QueryError> {
        let at = self.at;
        let text = self.quoted()?;
        if words(&text).is_empty() && !self.is_lenient {
            return Err(self.error(at, self.at - at, "a word between the quotes"));
        }
        Ok(Token { kind: Kind::Phrase(text), at, end: self.at })
    }

    /// A text in quotes, with `\"` and `\\` for themselves.
    fn quoted(&mut self) -> Result<String, QueryError> {
        let at = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None if self.is_lenient => break,
                None => return Err(self.error(at, self.chars.len() - at, "a closing quote `\"`")),
                Some('"') => {
                    self.at += 1;
                    break;
                }
                Some('\\') if matches!(self.chars.get(self.at + 1), Some('"' | '\\')) => {
                    text.extend(self.chars.get(self.at + 1));
                    self.at += 2;
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        Ok(text.nfc().collect())
    }

    /// A bare word, an operator in capitals, or a key with its value; `None` for signs that are no word.
    fn word(&mut self) -> Result<Option<Token>, QueryError> {
        let at = self.at;
        let run = self.run(is_boundary);
        if let Some(key) = key_of(run) {
            let colon = run.iter().take_while(|c| **c != ':').count();
            self.at += colon + 1;
            return self.pair(key, at).map(Some);
        }
        let text: String = run.iter().copied().nfc().collect();
        let is_word = self.is_word(run);
        self.at += run.len();
        let kind = match text.as_str() {
            "OR" => Kind::Or,
            "AND" => Kind::And,
            "NOT" => Kind::Not,
            _ => Kind::Words(text),
        };
        Ok(is_word.then_some(Token { kind, at, end: self.at }))
    }

    fn pair(&mut self, key: String, at: usize) -> Result<Token, QueryError> {
        if self.peek() == Some('"') {
            let value_at = self.at + 1;
            let value = self.quoted()?;
            return Ok(Token { kind: Kind::Pair { key, value, is_quoted: true, value_at }, at, end: self.at });
        }
        let value_at = self.at;
        let run = self.run(ends_value);
        let value = run.iter().collect();
        self.at += run.len();
        Ok(Token { kind: Kind::Pair { key, value, is_quoted: false, value_at }, at, end: self.at })
    }
}

/// The letters before a colon at the beginning of a word.
fn key_of(run: &[char]) -> Option<String> {
    let colon = run.iter().position(|c| *c == ':')?;
    // Composed first: U+212A, the sign of Kelvin, becomes a plain K.
    let key: String = run[..colon].iter().copied().nfc().collect();
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    is_key.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    fn word(text: &str) -> Kind {
        Kind::Words(text.to_owned())
    }

    #[test]
    fn dashes_bars_and_capitals_are_operators_only_where_they_stand_alone_or_before_something() {
        assert_eq!(kinds("a-b - c|d"), [word("a-b"), word("c"), Kind::Or, word("d")]);
        assert_eq!(
            kinds("-a -(b) --c -\"d\" -&"),
            [
                Kind::Not,
                word("a"),
                Kind::Not,
                Kind::Open,
                word("b"),
                Kind::Close,
                Kind::Not,
                Kind::Not,
                word("c"),
                Kind::Not,
                Kind::Phrase("d".to_owned()),
            ]
        );
        assert_eq!(kinds("a OR or AND NOT b"), [word("a"), Kind::Or, word("or"), Kind::And, Kind::Not, word("b")]);
    }

    #[test]
    fn values_keep_what_words_are_cut_at() {
        let pair = |value: &str, is_quoted, value_at| Kind::Pair { key: "tag".to_owned(), value: value.to_owned(), is_quoted, value_at };
        assert_eq!(kinds("tag:a|b-c"), [pair("a|b-c", false, 4)]);
        assert_eq!(kinds(r#"tag:"a \"b\" (c) \\""#), [pair(r#"a "b" (c) \"#, true, 5)]);
        assert_eq!(kinds("tag:"), [pair("", false, 4)]);
        assert_eq!(kinds("12:30 :x"), [word("12:30"), word(":x")]);
    }

    #[test]
    fn places_are_counted_in_characters() {
        let found = tokens("zoé \"lac é\" x").unwrap();
        assert_eq!(found.iter().map(|token| (token.at, token.end)).collect::<Vec<_>>(), [(0, 3), (4, 11), (12, 13)]);
        assert_eq!(tokens("zoé \"lac").unwrap_err().at, 4);
        assert_eq!(tokens("a\0b").unwrap_err().at, 1);
        assert_eq!(tokens(&"é".repeat(2001)).unwrap_err().at, 2000);
        assert_eq!(tokens_so_far("a camera:\"Can").len(), 2);
    }
}
