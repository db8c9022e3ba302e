//! The words of a text, as the search knows them: one rule for what is filed and for what is asked.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Writes a text as names are compared: lower-case, without accents, NFC. `Zoé` and `ZOE` are one, and `Ørsted` is `orsted`.
///
/// The database has the same rule as its function `fold`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfc().flat_map(char::to_lowercase);
    let plain = lower.nfd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).nfc();
    let mut folded = String::with_capacity(text.len());
    for c in plain {
        match c {
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            c => folded.push(c),
        }
    }
    folded
}

/// A longer word is cut here, in characters: a base64 blob in a caption is no word, and PostgreSQL refuses very long ones.
const LONGEST_WORD: usize = 64;

/// Splits a text into its words: folded (see [`fold`]), cut wherever a character is neither letter nor digit.
///
/// In the order of the text, repeats kept. `IMG_1234.CR2` gives `img`, `1234`, `cr2`.
///
/// ```
/// assert_eq!(hm::models::words("Lake Zoe\u{301}, 2019!"), ["lake", "zoe", "2019"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c))
        .map(|word| word.trim_start_matches(is_combining_mark))
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(LONGEST_WORD).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_names_have_the_same_words() {
        assert_eq!(words("ZOE\u{301}"), words("zoé"));
        assert_eq!(words("Ünï-Côde"), ["uni", "code"]);
        assert_eq!(words("Ørsted Straße ΑΘΉΝΑΣ"), ["orsted", "strasse", "αθηνασ"]);
        // Vowel signs of other scripts are letters of the word.
        assert_eq!(words("हिन्दी 서울"), ["हिन्दी", "서울"]);
    }

    #[test]
    fn nothing_that_a_query_could_mean_otherwise_is_left() {
        assert_eq!(words("a' & b:* | !(c) <-> \\d"), ["a", "b", "c", "d"]);
        assert!(words(" '\u{301}--& ").is_empty());
    }

    #[test]
    fn endless_words_are_cut() {
        assert_eq!(words(&"x".repeat(5000))[0].len(), LONGEST_WORD);
    }
}
