//! High dynamic range stills (PQ and HLG in HEIF, AVIF) on an ordinary screen.
//!
//! # Source
//! ITU-R BT.2100-2 tables 4 and 5 (transfer functions); BT.2408-7 (203 cd/m² as diffuse white); Reinhard et al. 2002, equation 4
//! (roll-off of what is brighter than white).

use fast_image_resize::pixels::U16x3;

/// The curve between numbers and light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HdrTransfer {
    Pq,
    Hlg,
}

/// Brightness that becomes the white of the screen's own range before the roll-off, in cd/m².
const DIFFUSE_WHITE: f32 = 203.0;
const HLG_PEAK: f32 = 1000.0;
/// Multiples of diffuse white that become full white.
const BRIGHTEST: f32 = HLG_PEAK / DIFFUSE_WHITE;
const BT2020: u8 = 9;
const P3_D65: u8 = 12;

/// Rows make sRGB's red, green and blue of the other primaries', linear light, D65.
const FROM_BT2020: [[f32; 3]; 3] = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]];
const FROM_P3: [[f32; 3]; 3] = [[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]];
const IDENTITY: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Tone-mapped to sRGB, 8 bits; `primaries` by ITU-T H.273.
pub(super) fn to_srgb8(pixels: &[U16x3], primaries: u8, transfer: HdrTransfer) -> Vec<u8> {
    let matrix = match primaries {
        BT2020 => FROM_BT2020,
        P3_D65 => FROM_P3,
        _ => IDENTITY,
    };
    let curve: Vec<f32> = (0..=u16::MAX).map(|value| to_light(f32::from(value) / 65_535.0, transfer)).collect();
    let mut rgb = Vec::with_capacity(pixels.len() * 3);
    for pixel in pixels {
        let mut light = pixel.0.map(|value| curve[usize::from(value)]);
        if transfer == HdrTransfer::Hlg {
            // The system gamma of a 1000 cd/m² display, by the luminance of the pixel.
            let luminance = 0.2627 * light[0] + 0.678 * light[1] + 0.0593 * light[2];
            light = light.map(|value| value * luminance.max(1e-6).powf(0.2) * BRIGHTEST);
        }
        let brightest = light[0].max(light[1]).max(light[2]);
        let scale = if brightest > 0.0 { roll_off(brightest) / brightest } else { 0.0 };
        rgb.extend(matrix.map(|row| encode((row[0] * light[0] + row[1] * light[1] + row[2] * light[2]) * scale)));
    }
    rgb
}

/// PQ: multiples of diffuse white. HLG: scene light in 0..=1.
fn to_light(value: f32, transfer: HdrTransfer) -> f32 {
    match transfer {
        HdrTransfer::Pq => {
            let power = value.powf(1.0 / 78.843_75);
            let ratio = (power - 0.835_937_5).max(0.0) / (18.851_563 - 18.6875 * power);
            10_000.0 / DIFFUSE_WHITE * ratio.powf(1.0 / 0.159_301_76)
        }
        HdrTransfer::Hlg if value <= 0.5 => value * value / 3.0,
        HdrTransfer::Hlg => (((value - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
    }
}

/// Leaves the dark alone and brings [`BRIGHTEST`] to 1.
fn roll_off(light: f32) -> f32 {
    (light * (1.0 + light / (BRIGHTEST * BRIGHTEST)) / (1.0 + light)).min(1.0)
}

fn encode(light: f32) -> u8 {
    let light = light.clamp(0.0, 1.0);
    let value = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (value * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_stays_black_white_is_bright_and_order_is_kept() {
        for transfer in [HdrTransfer::Pq, HdrTransfer::Hlg] {
            let ramp: Vec<U16x3> = (0..=64_u16).map(|step| U16x3::new([step.saturating_mul(1023); 3])).collect();
            let shown: Vec<u8> = to_srgb8(&ramp, BT2020, transfer).chunks(3).map(|pixel| pixel[1]).collect();
            assert_eq!(shown[0], 0, "{transfer:?}");
            assert!(shown.windows(2).all(|pair| pair[0] <= pair[1]), "{transfer:?}: {shown:?}");
            assert!(shown[64] >= 250, "{transfer:?}: {shown:?}");
        }
    }
}
