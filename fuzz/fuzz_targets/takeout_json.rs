//! Any bytes called `.json` give facts or an error, never a crash.
#![no_main]

use std::io::Write;

use hm::{media::MetaReader, models::FileFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().expect("the temporary directory is writable");
    file.write_all(bytes).expect("the temporary directory is writable");
    let reading = MetaReader::in_process().read(file.path(), FileFormat::TakeoutJson, bytes.len() as u64);
    if let Some(gps) = reading.facts.gps {
        assert!((-90.0..=90.0).contains(&gps.latitude_deg) && (-180.0..=180.0).contains(&gps.longitude_deg));
    }
});
