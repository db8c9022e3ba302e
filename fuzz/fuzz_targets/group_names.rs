//! Any names at all make a partition: every file in exactly one place, and the same places whatever the order.
#![no_main]

use std::collections::BTreeSet;

use hm::{
    models::Facts,
    scan::group::{Candidate, format_of_name, group_folder},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let facts = Facts::default();
    let names: BTreeSet<&str> = text.lines().filter(|name| !name.is_empty() && !name.contains('/')).collect();
    let files: Vec<Candidate<'_>> = names
        .iter()
        .filter_map(|name| {
            Some(Candidate {
                name,
                format: format_of_name(name)?,
                facts: &facts,
                size_bytes: name.len() as u64,
                modified_at: chrono::DateTime::from_timestamp(1_500_000_000, 0)?.naive_utc(),
                fingerprint: None,
                pin: None,
                readable: true,
            })
        })
        .collect();
    let places = |files: &[Candidate<'_>]| -> BTreeSet<Vec<String>> {
        let grouping = group_folder(files);
        let name = |index: usize| files[index].name.to_owned();
        let mut seen: Vec<usize> = grouping.groups.iter().flat_map(|group| group.members.iter().map(|member| member.file)).collect();
        seen.extend(&grouping.loose);
        seen.sort_unstable();
        assert_eq!(seen, (0..files.len()).collect::<Vec<_>>(), "every file in exactly one place");
        let group = |group: &hm::scan::group::Group| {
            let mut members: Vec<String> = group.members.iter().map(|member| format!("{} {}", name(member.file), member.role)).collect();
            members.sort();
            members
        };
        grouping.groups.iter().map(group).collect()
    };
    let forwards = places(&files);
    let backwards: Vec<Candidate<'_>> = files.into_iter().rev().collect();
    assert_eq!(forwards, places(&backwards), "the order of a listing means nothing");
});
