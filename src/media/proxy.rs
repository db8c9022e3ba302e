//! The pictures that hm made itself, back into pixels for the networks. Apart from `pixels::jpeg`, which reads what strangers wrote: these
//! are upright, sRGB and of a known size, so that they are decoded where they are needed and not in a child process.

/// Longest side of a proxy that is believed: beyond it lies no setting that makes sense.
const MAX_PX: usize = 16_384;

/// The bytes are no proxy, or a damaged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy is damaged: {0}")]
pub struct BrokenProxy(String);

/// A proxy in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPixels {
    /// Width, upright.
    pub width_px: u32,
    /// Height, upright.
    pub height_px: u32,
    /// Red, green, blue, 8 bits, sRGB, rows from the top without gaps.
    pub rgb: Vec<u8>,
}

/// Decodes the JPEG of a proxy.
///
/// # Errors
/// [`BrokenProxy`] when it is none, or damaged.
pub fn decode_proxy(jpeg: &[u8]) -> Result<ProxyPixels, BrokenProxy> {
    let broken = |error: turbojpeg::Error| BrokenProxy(error.to_string());
    let mut decompressor = turbojpeg::Decompressor::new().map_err(broken)?;
    let header = decompressor.read_header(jpeg).map_err(broken)?;
    let (width, height) = (header.width, header.height);
    if width == 0 || height == 0 || width > MAX_PX || height > MAX_PX {
        return Err(BrokenProxy(format!("the header says {width} × {height} pixels")));
    }
    let mut rgb = vec![0; width * height * 3];
    let image = turbojpeg::Image { pixels: rgb.as_mut_slice(), width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
    decompressor.decompress(jpeg, image).map_err(broken)?;
    Ok(ProxyPixels { width_px: width as u32, height_px: height as u32, rgb })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_comes_back_and_a_damaged_one_does_not() {
        let (width, height) = (48, 32);
        let rgb: Vec<u8> = (0..width * height).flat_map(|place| [200, (place % width) as u8 * 2, 40]).collect();
        let image = turbojpeg::Image { pixels: rgb.as_slice(), width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
        let jpeg = turbojpeg::compress(image, 95, turbojpeg::Subsamp::None).unwrap();
        let proxy = decode_proxy(&jpeg).unwrap();
        assert_eq!((proxy.width_px, proxy.height_px, proxy.rgb.len()), (48, 32, rgb.len()));
        let furthest = proxy.rgb.iter().zip(&rgb).map(|(got, expected)| got.abs_diff(*expected)).max();
        assert!(furthest < Some(12), "{furthest:?}");
        assert!(decode_proxy(&jpeg[..jpeg.len() / 2]).is_err() && decode_proxy(b"no picture").is_err() && decode_proxy(b"").is_err());
    }
}
