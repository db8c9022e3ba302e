//! Any address makes a filter or a named error, and a filter survives being written and read again; any text makes a query that
//! survives being printed, or an error at a place inside it; and what is being typed lies inside the text.
#![no_main]

use hm::models::{
    Cursor, Filter, Query,
    query::{Completion, DEEPEST, MOST_TERMS, Term},
};
use libfuzzer_sys::fuzz_target;

/// Conditions and depth of a query.
fn measure(query: &Query) -> (usize, usize) {
    match query {
        Query::Term(_) => (1, 0),
        Query::Not(inner) => {
            let (terms, depth) = measure(inner);
            (terms, depth + 1)
        }
        Query::And(parts) | Query::Or(parts) => {
            let all = parts.iter().map(measure);
            all.fold((0, 0), |(terms, depth), (more, deep)| (terms + more, depth.max(deep)))
        }
    }
}

/// How many orders there are, wherever they stand.
fn orders(query: &Query) -> usize {
    match query {
        Query::Term(Term::Like(_)) => 1,
        Query::Term(_) => 0,
        Query::Not(inner) => orders(inner),
        Query::And(parts) | Query::Or(parts) => parts.iter().map(orders).sum(),
    }
}

fuzz_target!(|text: &str| {
    let pairs: Vec<(&str, &str)> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if let Ok(filter) = Filter::from_pairs(pairs) {
        let written = filter.to_pairs();
        let read = Filter::from_pairs(written.iter().map(|(key, value)| (*key, value.as_str())));
        assert_eq!(read.as_ref(), Ok(&filter));
        let _ = filter.days();
        // With all the other keys in front it may become too long or too deep to be read, and then it is not saved.
        let saved = filter.to_query(Some("a/b \"c\""));
        if let Ok(read) = saved.to_string().parse::<Query>() {
            assert_eq!(read, saved);
        }
    }
    match text.parse::<Query>() {
        Ok(query) => {
            let (terms, depth) = measure(&query);
            assert!(terms <= MOST_TERMS && depth <= DEEPEST);
            assert_eq!(orders(&query), usize::from(query.like().is_some()), "one order at most, and it must hold");
            assert_eq!(orders(&query.without_like()), 0);
            let printed = query.to_string();
            assert_eq!(printed.parse::<Query>().as_ref(), Ok(&query), "{printed}");
        }
        Err(error) => {
            assert!(error.at + error.length <= text.chars().count());
            let _ = (error.to_string(), error.pointer(), error.corrected());
        }
    }
    let length = text.chars().count();
    for at in [0, length / 2, length] {
        let found = Completion::at(text, at);
        assert!(found.from <= found.to && found.to <= length);
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
});
