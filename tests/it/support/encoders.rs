//! Other people's encoders, run as programs, for the formats that hm only reads: AVIF, HEIC and JPEG XL. hm itself needs none of them.

use std::{path::Path, process::Command};

/// A program that encodes one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// `avifenc` of libavif.
    Avif,
    /// `heif-enc` of libheif, with x265.
    Heic,
    /// `cjxl` of libjxl.
    Jxl,
}

impl Encoder {
    fn program(self) -> &'static str {
        match self {
            Self::Avif => "avifenc",
            Self::Heic => "heif-enc",
            Self::Jxl => "cjxl",
        }
    }

    /// The extension of what it makes.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Avif => "avif",
            Self::Heic => "heic",
            Self::Jxl => "jxl",
        }
    }

    /// Whether it can be run here; says so where it cannot, for the test that is skipped.
    pub(crate) fn is_there(self) -> bool {
        let is_there = match self {
            // Newer packages of libheif come without any encoder.
            Self::Heic => Command::new("heif-enc").arg("--list-encoders").output().is_ok_and(|output| {
                let listed = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&listed).contains("x265")
            }),
            _ => Command::new(self.program()).arg("--version").output().is_ok_and(|output| output.status.success()),
        };
        if !is_there {
            eprintln!("skipped: no {} that works (scripts/install-packages.sh test)", self.program());
        }
        is_there
    }

    /// Encodes `source`, a file of the kind that `extension` says.
    ///
    /// # Panics
    /// With what the program said, when it fails.
    pub(crate) fn encode(self, source: &[u8], extension: &str, options: &[&str]) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("the temporary directory is writable");
        let (from, to) = (dir.path().join(format!("source.{extension}")), dir.path().join(format!("made.{}", self.extension())));
        std::fs::write(&from, source).expect("the temporary directory is writable");
        let mut command = Command::new(self.program());
        match self {
            Self::Avif => command.args(["--speed", "9", "--jobs", "1"]).args(options).args([&from, &to]),
            Self::Heic => command.args(options).arg("-o").args([&to, &from]),
            Self::Jxl => command.args([&from, &to]).args(["--num_threads=0", "--effort=3"]).args(options),
        };
        let output = command.output().expect("the encoder was there a moment ago");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && is_file(&to), "{command:?}: {}", String::from_utf8_lossy(&said));
        std::fs::read(&to).expect("the encoder wrote it")
    }
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}
