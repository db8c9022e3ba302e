//! One moment becomes its files: painted once, encoded for every file of the set, dated by the time it was taken.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    DemoError, DemoSummary,
    canvas::Picture,
    encode, exif,
    noise::Rng,
    plan::{Files, Moment, Sidecar},
    xmp,
};

const QUALITY: i32 = 85;

/// Paints a moment and writes its files below `dir`.
pub(super) fn moment(dir: &Path, moment: &Moment, long_side_px: usize) -> Result<DemoSummary, DemoError> {
    let mut sink = Sink::new(dir, moment);
    let (picture, turn) = photograph(moment, long_side_px);
    let facts = exif::directory(moment, picture.width_px, picture.height_px, turn, moment.camera.software);
    let embedded = (moment.sidecar == Some(Sidecar::Embedded)).then(|| xmp::packet(&moment.words, "Adobe XMP Core 5.6"));
    let (folder, stem) = (&moment.folder, &moment.stem);
    let first = match moment.files {
        Files::Png => format!("{stem}.png"),
        Files::PixelPair => format!("{stem}.RAW-01.COVER.jpg"),
        Files::Scan => format!("{stem}.jpg"),
        _ if stem.starts_with("PXL_") => format!("{stem}.jpg"),
        _ => format!("{stem}.JPG"),
    };
    let bytes =
        if moment.files == Files::Png { encode::sticker(&picture)? } else { encode::jpeg(&picture, &facts, embedded.as_deref(), QUALITY)? };
    sink.put(&format!("{folder}/{first}"), &bytes)?;
    if moment.copied {
        sink.put(&format!("Backup/old disk/{first}"), &bytes)?;
    }
    let raw = match moment.files {
        Files::RawAndJpeg => Some(format!("{stem}.DNG")),
        Files::PixelPair => Some(format!("{stem}.RAW-02.ORIGINAL.dng")),
        _ => None,
    };
    if let Some(raw) = &raw {
        sink.put(&format!("{folder}/{raw}"), &encode::dng(&picture, &facts, moment.camera.model, QUALITY)?)?;
    }
    let master = raw.as_ref().unwrap_or(&first);
    match moment.sidecar {
        Some(Sidecar::Appended) => {
            sink.put(&format!("{folder}/{master}.xmp"), xmp::packet(&moment.words, "XMP Core 4.4.0-Exiv2").as_bytes())?
        }
        Some(Sidecar::Replaced) => {
            sink.put(&format!("{folder}/{stem}.xmp"), xmp::packet(&moment.words, "Adobe XMP Core 5.6").as_bytes())?
        }
        Some(Sidecar::Embedded) | None => {}
    }
    let later = |software: &str, picture: &Picture| {
        let facts = exif::directory(moment, picture.width_px, picture.height_px, turn, software);
        encode::jpeg(picture, &facts, Some(&xmp::packet(&moment.words, "Adobe XMP Core 5.6")), QUALITY)
    };
    if moment.edited {
        sink.put(&format!("{folder}/{stem}-Edit.jpg"), &later("Adobe Photoshop Lightroom Classic 12.0", &grey(&picture))?)?;
    }
    if moment.cropped {
        sink.put(&format!("{folder}/{stem}_001.jpg"), &later("darktable 4.2.1", &cropped(&picture))?)?;
    }
    if moment.exported {
        let small = picture.shrunk(picture.width_px / 2, picture.height_px / 2);
        sink.put(&format!("Exports/{stem}.jpg"), &later("Adobe Photoshop Lightroom Classic 12.0", &small)?)?;
    }
    Ok(sink.summary)
}

/// Writes a JPEG that breaks off before its pixels: its facts can be read, its picture cannot.
pub(super) fn broken(dir: &Path, moment: &Moment, long_side_px: usize) -> Result<DemoSummary, DemoError> {
    let mut sink = Sink::new(dir, moment);
    let (picture, turn) = photograph(moment, long_side_px);
    let facts = exif::directory(moment, picture.width_px, picture.height_px, turn, moment.camera.software);
    let bytes = encode::jpeg(&picture, &facts, None, QUALITY)?;
    let tables = bytes.windows(2).rposition(|marker| marker == [0xff, 0xda]).unwrap_or(bytes.len() / 2);
    sink.put("Recovered/FILE0001.JPG", &bytes[..tables])?;
    Ok(sink.summary)
}

/// The developed picture as it is stored, and the turn that puts it upright.
fn photograph(moment: &Moment, long_side_px: usize) -> (Picture, exif::Turn) {
    let mut rng = Rng::new(moment.stream, 1);
    let (long, short) = match moment.files {
        Files::Panorama => (long_side_px * 2, long_side_px / 2),
        Files::Png => (long_side_px * 5 / 8, long_side_px * 5 / 8),
        _ if moment.camera.narrow => (long_side_px, long_side_px * 3 / 4),
        _ => (long_side_px, long_side_px * 2 / 3),
    };
    let (long, short) = (long & !1, short & !1);
    let (width, height) = if moment.upright { (short, long) } else { (long, short) };
    let canvas = moment.scene.paint(moment.light, width, height, &mut rng);
    let phone = moment.camera.gps;
    let (vignette, cast) = match moment.files {
        Files::Scan => (0.3, [1.06, 0.98, 0.8]),
        _ if phone => (0.08, [1.02, 1.0, 0.98]),
        _ => (0.2, [1.0, 1.0, 1.0]),
    };
    let grain = if moment.files == Files::Scan { 0.04 } else { 0.014 };
    // Frames of a burst see the same scene with other grain, the camera a little moved.
    let mut grain_rng = Rng::new(moment.stream, 2 + u64::from(moment.frame));
    let mut picture = canvas.develop(vignette, cast, grain, &mut grain_rng);
    if moment.frame > 0 {
        picture = panned(&picture, moment.frame as usize * width / 160);
    }
    if moment.files == Files::Scan {
        picture = framed(&picture);
    }
    encode::stored(picture, moment.upright, !moment.stream.is_multiple_of(3))
}

/// The same size, moved to the left; the last column fills what opens.
fn panned(picture: &Picture, columns: usize) -> Picture {
    let rgb = (0..picture.height_px)
        .flat_map(|row| (0..picture.width_px).map(move |column| (row, column)))
        .flat_map(|(row, column)| {
            let at = (row * picture.width_px + (column + columns).min(picture.width_px - 1)) * 3;
            [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
        })
        .collect();
    Picture { rgb, ..*picture }
}

/// The white border and the faded blacks of an old print.
fn framed(picture: &Picture) -> Picture {
    let border = picture.height_px / 28;
    let mut framed = picture.clone();
    for row in 0..picture.height_px {
        for column in 0..picture.width_px {
            let outside = row < border || column < border || row >= picture.height_px - border || column >= picture.width_px - border;
            for channel in &mut framed.rgb[(row * picture.width_px + column) * 3..][..3] {
                *channel = if outside { 236 } else { (48 + u16::from(*channel) * 190 / 255) as u8 };
            }
        }
    }
    framed
}

fn grey(picture: &Picture) -> Picture {
    let rgb = picture
        .rgb
        .chunks_exact(3)
        .flat_map(|pixel| {
            let luma = 0.30 * f32::from(pixel[0]) + 0.59 * f32::from(pixel[1]) + 0.11 * f32::from(pixel[2]);
            [((luma - 128.0) * 1.15 + 128.0).clamp(0.0, 255.0) as u8; 3]
        })
        .collect();
    Picture { rgb, ..*picture }
}

/// The middle of the picture.
fn cropped(picture: &Picture) -> Picture {
    let (width_px, height_px) = ((picture.width_px * 3 / 4) & !1, (picture.height_px * 3 / 4) & !1);
    let (left, top) = ((picture.width_px - width_px) / 2, (picture.height_px - height_px) / 2);
    let rows = (top..top + height_px).map(|row| &picture.rgb[(row * picture.width_px + left) * 3..][..width_px * 3]);
    Picture { width_px, height_px, rgb: rows.flatten().copied().collect() }
}

/// Writes files below the library and counts them.
struct Sink<'a> {
    dir: &'a Path,
    modified: SystemTime,
    summary: DemoSummary,
}

impl<'a> Sink<'a> {
    fn new(dir: &'a Path, moment: &Moment) -> Self {
        let utc = moment.local.and_utc().timestamp() - i64::from(moment.offset_minutes) * 60;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(utc).unwrap_or(0));
        Self { dir, modified, summary: DemoSummary::default() }
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), DemoError> {
        let path: PathBuf = self.dir.join(path);
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, bytes)?;
            fs::File::options().write(true).open(&path)?.set_modified(self.modified)
        };
        write().map_err(|source| DemoError::Io { path: path.clone(), source })?;
        self.summary = self.summary.plus(DemoSummary { files: 1, bytes: bytes.len() as u64 });
        Ok(())
    }
}
