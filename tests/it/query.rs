//! The search language as text: what is printed is read back as the same query, and no text is too much for it.

use hm::models::{
    Filter, Query,
    query::{Completion, LONGEST_QUERY, Term},
};
use proptest::prelude::*;

use crate::support::queries::{like, query};

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
    fn one_order_goes_with_any_conditions_and_stands_alone(query in query(), like in like(), other in like()) {
        let order = Query::Term(Term::Like(like.clone()));
        let ordered = Query::all([query.clone(), order.clone()]);
        prop_assert_eq!(ordered.to_string().parse::<Query>(), Ok(ordered.clone()));
        prop_assert_eq!((ordered.like(), ordered.without_like()), (Some(&like), query.clone()));
        for wrong in [
            Query::all([ordered.clone(), Query::Term(Term::Like(other))]),
            Query::any([query, order.clone(), Query::Term(Term::Words("x".into()))]),
            Query::Not(Box::new(ordered)),
        ] {
            let error = wrong.to_string().parse::<Query>().unwrap_err();
            prop_assert!(error.found.to_lowercase().starts_with("like:"), "{}", error);
        }
    }

    #[test]
    fn any_text_is_a_query_or_an_error_at_a_place_inside_it(
        text in r#"([a-z]{1,3}|[()|"* -]|rating:|date:|tag:|near:|like:|image:|region:|[0-9.,<>=-]{1,4}|\PC|OR |NOT |\u{212a}ey:){0,24}"#,
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
