//! A frame of a video, taken by ffmpeg in a process of its own: no network, no other file, a time limit.

use std::{
    ffi::OsString,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Bounds, Decoded, PictureSource, PixelsError, bitmap::Bitmap, color::Profile};

/// The first second is often black or blurred; a clip shorter than that gives its first frame.
const SEEK_S: [&str; 2] = ["1", "0"];
const POLL: Duration = Duration::from_millis(20);
/// A frame of 8192 × 8192 pixels.
const MAX_FRAME_BYTES: u64 = 3 * 8192 * 8192 + 64;

/// Takes one frame, turned upright by ffmpeg and no larger than wanted.
pub(super) fn decode(path: &Path, timeout_s: u64, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let deadline = Instant::now() + Duration::from_secs(timeout_s);
    let mut last = PixelsError::Broken("the video has no frame".into());
    for seek in SEEK_S {
        match frame(path, seek, deadline, timeout_s, bounds) {
            Ok(bitmap) => {
                let mut decoded = Decoded::upright(bitmap, Profile::Srgb);
                decoded.source = PictureSource::PosterFrame;
                return Ok(decoded);
            }
            Err(error @ (PixelsError::NoFfmpeg | PixelsError::TimedOut(_))) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn frame(path: &Path, seek: &str, deadline: Instant, timeout_s: u64, bounds: &Bounds) -> Result<Bitmap, PixelsError> {
    // The protocol is named, so that no file name is taken for one.
    let mut input = OsString::from("file:");
    input.push(path);
    let side = bounds.wanted_px;
    let scale = format!("scale='min({side},iw)':'min({side},ih)':force_original_aspect_ratio=decrease");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file", "-threads", "1"]);
    command.args(["-ss", seek, "-i"]).arg(input);
    command.args(["-an", "-sn", "-dn", "-frames:v", "1", "-vf", &scale, "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => PixelsError::NoFfmpeg,
        _ => PixelsError::Read(format!("cannot start ffmpeg: {error}")),
    })?;
    let frame = drain(child.stdout.take());
    let complaints = drain(child.stderr.take());
    let in_time = wait(&mut child, deadline);
    let frame = frame.join().unwrap_or_default();
    let complaints = complaints.join().unwrap_or_default();
    if !in_time {
        return Err(PixelsError::TimedOut(timeout_s));
    }
    parse_ppm(&frame, bounds).ok_or_else(|| {
        let complaints = String::from_utf8_lossy(&complaints);
        PixelsError::Broken(format!("ffmpeg gave no frame: {}", complaints.lines().next_back().unwrap_or("no message")))
    })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before an error is judged by its content.
            let _ = pipe.take(MAX_FRAME_BYTES).read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits for the end; ends it at the deadline and says so.
fn wait(child: &mut Child, deadline: Instant) -> bool {
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// Reads `P6`, width, height, 255 and the samples.
fn parse_ppm(bytes: &[u8], bounds: &Bounds) -> Option<Bitmap> {
    let mut rest = bytes;
    let mut words = [""; 4];
    for word in &mut words {
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        *word = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
    }
    let [magic, width, height, most] = words;
    if magic != "P6" || most != "255" {
        return None;
    }
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    bounds.check(width, height).ok()?;
    let rgb = rest.get(..width as usize * height as usize * 3)?;
    Some(Bitmap::rgb8(width, height, rgb.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_only_when_it_is_whole() {
        let bounds = Bounds { max_pixels: 100, wanted_px: 10 };
        let frame = b"P6\n2 1\n255\nabcdef";
        assert_eq!(parse_ppm(frame, &bounds).map(|bitmap| (bitmap.width_px, bitmap.height_px)), Some((2, 1)));
        assert!(parse_ppm(&frame[..frame.len() - 1], &bounds).is_none());
        assert!(parse_ppm(b"P6\n2000 1000\n255\nabcdef", &bounds).is_none());
        assert!(parse_ppm(b"P5\n2 1\n255\nabcdef", &bounds).is_none());
    }
}
