//! Pixels: from one source file, by one decode, the proxy, the thumbnail and the placeholder, all upright and in sRGB.
//!
//! ```text
//! magic bytes → decoder (jpeg, raw, heif, jxl, tiff, plain, poster) → Decoded: a bitmap, its profile, its way up
//!   → resize to the proxy → profile to sRGB → turn upright → JPEG → resize to the thumbnail → WebP → ThumbHash
//! ```
//!
//! Decoders speak to files that strangers wrote, some of them in C: [`make_pictures`] and [`make_proxy`] belong into a child process with
//! limits (`hm pixel-worker`), and their requests and answers are plain values that travel there and back. May import models.

mod bitmap;
mod color;
mod detect;
mod encode;
mod hdr;
mod heif;
mod jpeg;
mod jpeg_header;
mod jxl;
mod plain;
mod poster;
mod previews;
mod raw;
mod read_at;
mod request;
#[cfg(test)]
mod tests;
mod tiff;
mod tiff_tags;

use std::path::Path;

use bitmap::{Bitmap, SrgbImage};
use color::Profile;
use detect::Kind;
use read_at::{ReadAt, SourceFile};

pub use request::{PictureRequest, PictureSource, PicturesMade, PixelRequest, PixelsError, ProxyMade, ProxyRequest};

use crate::models::{FileFormat, Orientation};

/// What a decoder hands back.
struct Decoded {
    /// The pixels as stored, possibly scaled down by the decoder.
    bitmap: Bitmap,
    /// What their numbers mean.
    profile: Profile,
    /// How they must be turned.
    orientation: Orientation,
    /// Size of the whole picture as stored, before scaling, in pixels.
    full_px: (u32, u32),
    /// Which part of the file they are.
    source: PictureSource,
    /// What went wrong without stopping it.
    note: Option<String>,
}

impl Decoded {
    /// A whole picture, upright already, nothing to remark.
    fn upright(bitmap: Bitmap, profile: Profile) -> Self {
        let full_px = (bitmap.width_px, bitmap.height_px);
        Self { bitmap, profile, orientation: Orientation::UPRIGHT, full_px, source: PictureSource::Full, note: None }
    }
}

/// What a decoder has to keep to.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Largest picture decoded, in pixels.
    max_pixels: u64,
    /// Longest side that is needed: decoders that can scale need give no more than some headroom over it.
    wanted_px: u32,
}

impl Bounds {
    /// Refuses what is too large before memory is asked for it.
    fn check(&self, width_px: u32, height_px: u32) -> Result<(), PixelsError> {
        if width_px == 0 || height_px == 0 {
            return Err(PixelsError::Broken(format!("the header says {width_px} × {height_px} pixels")));
        }
        if u64::from(width_px) * u64::from(height_px) > self.max_pixels {
            return Err(PixelsError::TooLarge { width_px, height_px, max_pixels: self.max_pixels });
        }
        Ok(())
    }
}

/// Makes the pictures that `request` asks for and writes them, each by a temporary name beside its own and a rename.
///
/// # Errors
/// [`PixelsError`]; nothing is left behind under either name.
pub fn make_pictures(request: &PictureRequest) -> Result<PicturesMade, PixelsError> {
    let bounds = Bounds { max_pixels: request.max_pixels, wanted_px: request.proxy_px.max(request.thumbnail_px) };
    let sought = Sought {
        path: &request.source,
        format: request.format,
        orientation: request.orientation,
        stored_px: request.stored_px,
        proxy_px: request.proxy_px,
        timeout_s: request.timeout_s,
    };
    let Shown { proxy, orientation, full_px, source, note } = show(&sought, &bounds)?;
    let (thumbnail_width, thumbnail_height) = fit(proxy.size_px(), request.thumbnail_px);
    let thumbnail = proxy.resized(thumbnail_width, thumbnail_height)?;

    let made = PicturesMade {
        proxy_px: proxy.size_px(),
        full_px: match source {
            PictureSource::Full | PictureSource::Developed => Some(orientation.upright_size(full_px.0, full_px.1)),
            PictureSource::EmbeddedPreview | PictureSource::PosterFrame => None,
        },
        source,
        placeholder: encode::thumb_hash(&thumbnail)?,
        note,
    };
    encode::write(&request.proxy, &encode::jpeg(&proxy)?)?;
    encode::write(&request.thumbnail, &encode::webp(&thumbnail)?)?;
    Ok(made)
}

/// Makes the proxy alone and writes nothing: the same bytes that [`make_pictures`] keeps, where the proxy is the larger of its pictures.
///
/// # Errors
/// [`PixelsError`].
pub fn make_proxy(request: &ProxyRequest) -> Result<ProxyMade, PixelsError> {
    let bounds = Bounds { max_pixels: request.max_pixels, wanted_px: request.proxy_px };
    let sought = Sought {
        path: &request.source,
        format: request.format,
        orientation: request.orientation,
        stored_px: request.stored_px,
        proxy_px: request.proxy_px,
        timeout_s: request.timeout_s,
    };
    let Shown { proxy, source, .. } = show(&sought, &bounds)?;
    Ok(ProxyMade { proxy_px: proxy.size_px(), source, jpeg: encode::jpeg(&proxy)? })
}

/// What is to be decoded.
struct Sought<'a> {
    path: &'a Path,
    format: FileFormat,
    orientation: Option<Orientation>,
    stored_px: Option<(u32, u32)>,
    proxy_px: u32,
    timeout_s: u64,
}

/// A source as it is shown.
struct Shown {
    /// Upright, in sRGB, of the proxy's size.
    proxy: SrgbImage,
    /// How the source was turned for that.
    orientation: Orientation,
    /// As in [`Decoded`].
    full_px: (u32, u32),
    source: PictureSource,
    note: Option<String>,
}

fn show(sought: &Sought<'_>, bounds: &Bounds) -> Result<Shown, PixelsError> {
    let Decoded { bitmap, profile, orientation, full_px, source, note } = decode(sought, bounds)?;
    let (proxy_width, proxy_height) = fit(full_px, sought.proxy_px);
    let proxy = bitmap.resized_within(proxy_width, proxy_height)?;
    let proxy = color::to_srgb(proxy, &profile)?.turned(orientation);
    Ok(Shown { proxy, orientation, full_px, source, note })
}

fn decode(sought: &Sought<'_>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let file = SourceFile::open(sought.path)?;
    let kind = detect::kind(&file, sought.format);
    let stated = sought.orientation;
    match kind {
        Kind::Jpeg => jpeg::decode_file(&file, stated, bounds),
        Kind::Raw => raw::decode(&file, sought, bounds),
        Kind::Heif => heif::decode(&file.read_all()?, stated, bounds),
        Kind::Jxl => jxl::decode(&file.read_all()?, bounds),
        Kind::Png => plain::decode(&file.read_all()?, image::ImageFormat::Png, stated, bounds),
        Kind::Webp => plain::decode(&file.read_all()?, image::ImageFormat::WebP, stated, bounds),
        Kind::Tiff => tiff::decode(&file, stated, bounds),
        Kind::Video => poster::decode(sought.path, sought.timeout_s, bounds),
        Kind::Unknown if file.len() == 0 => Err(PixelsError::Broken("the file is empty".into())),
        Kind::Unknown => Err(PixelsError::Unsupported("the file is no picture that is known".into())),
    }
}

/// The size with the same shape whose longest side is at most `longest_px`; never larger than `size_px`.
fn fit((width_px, height_px): (u32, u32), longest_px: u32) -> (u32, u32) {
    let longest = width_px.max(height_px);
    if longest <= longest_px {
        return (width_px, height_px);
    }
    let scaled = |side: u32| ((f64::from(side) * f64::from(longest_px) / f64::from(longest)).round() as u32).max(1);
    (scaled(width_px), scaled(height_px))
}
