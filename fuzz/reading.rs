//! Reads bytes as a file of a library is read, and asserts what holds of every reading. libFuzzer's panic hook ends the process before
//! the reader's own net for panics could hide one.

use std::{cell::RefCell, fs::File, os::unix::fs::FileExt};

use hm::{media::MetaReader, models::FileFormat};

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> = RefCell::new(tempfile::NamedTempFile::new().expect("the temporary directory is writable"));
}

/// Reads `bytes`.
pub fn check(bytes: &[u8], format: FileFormat) {
    FILE.with_borrow_mut(|named| {
        let file: &File = named.as_file();
        file.set_len(bytes.len() as u64).and_then(|()| file.write_all_at(bytes, 0)).expect("the temporary directory is writable");
        let reading = MetaReader::in_process().read(named.path(), format, bytes.len() as u64);
        assert!(reading.fingerprint.is_some(), "every file has an identity");
        let facts = reading.facts;
        if let Some(gps) = facts.gps {
            assert!((-90.0..=90.0).contains(&gps.latitude_deg) && (-180.0..=180.0).contains(&gps.longitude_deg));
            assert!(gps.altitude_m.is_none_or(f64::is_finite));
        }
        for number in [facts.f_number, facts.exposure_s, facts.focal_length_mm].into_iter().flatten() {
            assert!(number.is_finite() && number > 0.0);
        }
        assert!(facts.rating.is_none_or(|stars| (-1..=5).contains(&stars)));
        let texts = [&facts.make, &facts.model, &facts.lens, &facts.title, &facts.description, &facts.software, &facts.content_id];
        for text in texts.into_iter().flatten().chain(&facts.keywords).chain(&facts.hierarchical_keywords) {
            assert!(!text.contains('\0') && !text.is_empty(), "PostgreSQL takes no NUL");
        }
        let json = serde_json::to_string(&facts).expect("facts have a JSON form");
        assert_eq!(serde_json::from_str::<hm::models::Facts>(&json).expect("and are read back from it"), facts);
    });
}
