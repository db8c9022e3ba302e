//! Sizes as people say them: one rule for pages and commands.

/// `812 B`, `24.3 MB`, `123 GB`: in powers of ten, as disks and Finder count. Fewer bytes than none, which no file has, are none.
pub fn size_words(bytes: impl TryInto<u64>) -> String {
    let mut size = bytes.try_into().unwrap_or(0) as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if size < 999.5 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    if unit == "B" || size >= 99.95 { format!("{size:.0} {unit}") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_at_most_from_any_kind_of_number() {
        assert_eq!([0, 812, 999, 1_500].map(size_words), ["0 B", "812 B", "999 B", "1.5 kB"]);
        assert_eq!([24_300_000, 99_960_000, 123_456_789, 999_600_u64].map(size_words), ["24.3 MB", "100 MB", "123 MB", "1.0 MB"]);
        assert_eq!([2_000_000_000, 3_400_000_000_000, 1_234_000_000_000_000_u64].map(size_words), ["2.0 GB", "3.4 TB", "1234 TB"]);
        assert_eq!([-1_i64, i64::MIN].map(size_words), ["0 B", "0 B"]);
    }
}
