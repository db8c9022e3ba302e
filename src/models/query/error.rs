//! What is wrong with a query, and where.

use std::fmt;

/// A query cannot be understood. The place is counted in characters of the text as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// The text as it was typed.
    pub text: String,
    /// Where the trouble begins: characters before it.
    pub at: usize,
    /// How many characters it spans; 0 where something is missing.
    pub length: usize,
    /// What is there that is not understood; empty where something is missing.
    pub found: String,
    /// What would be understood there.
    pub expected: String,
    /// What was probably meant instead of `found`.
    pub suggestion: Option<String>,
}

impl QueryError {
    /// The column for people, from 1 on.
    pub fn column(&self) -> usize {
        self.at + 1
    }

    /// The text with the suggestion in place; `None` without one.
    pub fn corrected(&self) -> Option<String> {
        let suggestion = self.suggestion.as_deref()?;
        let before: String = self.text.chars().take(self.at).collect();
        let after: String = self.text.chars().skip(self.at + self.length).collect();
        Some(format!("{before}{suggestion}{after}"))
    }

    /// Two lines for a fixed-width font: the text around the trouble, and a caret below its first character.
    pub fn pointer(&self) -> (String, String) {
        const BEFORE: usize = 40;
        const WIDE: usize = 80;
        let first = self.at.saturating_sub(BEFORE);
        let cut = if first > 0 { "…" } else { "" };
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = self.text.chars().skip(first).take(WIDE).map(visible).collect();
        let carets = "^".repeat(self.length.clamp(1, WIDE.saturating_sub(self.at - first).max(1)));
        (format!("{cut}{shown}"), format!("{}{carets}", " ".repeat(self.at - first + cut.chars().count())))
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        write!(f, "the search is not understood at column {}: ", self.column())?;
        if !self.found.is_empty() {
            let found: String = self.found.chars().take(LONGEST).collect();
            let cut = if self.found.chars().count() > LONGEST { "…" } else { "" };
            write!(f, "`{found}{cut}`, ")?;
        }
        write!(f, "expected {}", self.expected)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for QueryError {}

/// The candidate that is nearest to a misspelt word, if any is near.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word: Vec<char> = word.to_lowercase().chars().take(40).collect();
    let most = match word.len() {
        0 => return None,
        1..=3 => 1,
        _ => 2,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.chars().collect::<Vec<_>>()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Letters to add, take away, change or swap with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=one.len() {
        for j in 1..=other.len() {
            let change = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let keys = ["rating", "camera", "is", "iso", "f"];
        assert_eq!(nearest("ratng", keys).as_deref(), Some("rating"));
        assert_eq!(nearest("CAMREA", keys).as_deref(), Some("camera"));
        assert_eq!(nearest("isp", keys).as_deref(), Some("is"));
        assert_eq!(nearest("http", keys), None);
    }

    #[test]
    fn the_caret_stands_below_the_trouble() {
        let error = QueryError {
            text: "zoé ratng:3".to_owned(),
            at: 4,
            length: 5,
            found: "ratng".to_owned(),
            expected: "a key".to_owned(),
            suggestion: Some("rating".to_owned()),
        };
        assert_eq!(error.pointer(), ("zoé ratng:3".to_owned(), "    ^^^^^".to_owned()));
        assert_eq!(error.corrected().as_deref(), Some("zoé rating:3"));
        assert_eq!(error.to_string(), "the search is not understood at column 5: `ratng`, expected a key; did you mean `rating`?");
    }

    #[test]
    fn a_long_text_is_shown_around_the_trouble() {
        let text = "x".repeat(500);
        let error = QueryError { text, at: 300, length: 200, found: "x".repeat(200), expected: "y".into(), suggestion: None };
        let (shown, caret) = error.pointer();
        assert_eq!((shown.chars().count(), caret.chars().count()), (81, 81));
        assert!(error.to_string().len() < 150);
    }
}
