//! Any bytes called `.xmp` give facts or an error, never a crash, and never a value that the database would refuse.
#![no_main]

#[path = "../reading.rs"]
mod reading;

use hm::models::FileFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| reading::check(bytes, FileFormat::Xmp));
