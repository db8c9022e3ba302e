//! Any address makes a filter or a named error, and a filter survives being written and read again.
#![no_main]

use hm::models::{Cursor, Filter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let pairs: Vec<(&str, &str)> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if let Ok(filter) = Filter::from_pairs(pairs) {
        let written = filter.to_pairs();
        let read = Filter::from_pairs(written.iter().map(|(key, value)| (*key, value.as_str())));
        assert_eq!(read.as_ref(), Ok(&filter));
        let _ = filter.days();
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
});
