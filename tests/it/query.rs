//! The search language as text: what is printed is read back as the same query, and no text is too much for it.

use hm::models::{
    Filter, Query,
    query::{Completion, LONGEST_QUERY},
};
use proptest::prelude::*;

use crate::support::queries::query;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_query_is_read_back(query in query()) {
        let text = query.to_string();
        prop_assert_eq!(text.parse::<Query>(), Ok(query.clone()), "{}", text);
        let pairs = Filter { query, ..Filter::default() }.to_pairs();
        let read = Filter::from_pairs(pairs.iter().map(|(key, value)| (*key, value.as_str()))).unwrap();
        prop_assert_eq!(read.query.to_string(), text);
    }

    #[test]
    fn any_text_is_a_query_or_an_error_at_a_place_inside_it(
        text in r#"([a-z]{1,3}|[()|"* -]|rating:|date:|tag:|near:|[0-9.,<>=-]{1,4}|\PC|OR |NOT |\u{212a}ey:){0,24}"#,
    ) {
        match text.parse::<Query>() {
            Ok(query) => prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query)),
            Err(error) => {
                prop_assert!(error.at + error.length <= text.chars().count(), "{:?}", error);
                prop_assert!(!error.expected.is_empty());
                let (shown, caret) = error.pointer();
                prop_assert!(caret.chars().count() <= shown.chars().count() + 1, "{}\n{}", shown, caret);
            }
        }
    }

    #[test]
    fn a_completion_stays_inside_the_text(text in r#"([a-z]{1,3}|[()|" :-]|camera:|has:|é){0,12}"#, at in 0..40_usize) {
        let found = Completion::at(&text, at);
        prop_assert!(found.from <= found.to);
        prop_assert!(found.to <= text.chars().count().max(at));
    }
}

#[test]
fn a_correction_is_understood() {
    for wrong in ["ratng:3", "lake (is:unratd)", "has:gsp|raw", "cmaera:\"Canon EOS R5\" -tag:x"] {
        let corrected = wrong.parse::<Query>().unwrap_err().corrected().unwrap();
        assert!(corrected.parse::<Query>().is_ok(), "{corrected}");
    }
}

#[test]
fn what_is_too_long_is_said_at_its_end() {
    let error = "x".repeat(LONGEST_QUERY + 1).parse::<Query>().unwrap_err();
    assert_eq!((error.at, error.length), (LONGEST_QUERY, 0));
    assert!(error.to_string().contains("at most 2000 characters"), "{error}");
}
