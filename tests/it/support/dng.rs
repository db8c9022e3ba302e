//! Writes DNG as cameras do: a Bayer mosaic of 14 bits packed, without any preview, so that it has to be developed.
//!
//! # Source
//! Adobe's DNG specification 1.4, chapters 2, 4 and 6; TIFF 6.0, section 2.

/// What a grey card gives in red, green and blue, and the levels of black and of saturation.
const NEUTRAL: [f64; 3] = [0.5, 1.0, 0.65];
const BLACK: u16 = 512;
const WHITE: u16 = 16_383;

/// Colours of the upper left four places of the sensor: 0 red, 1 green, 2 blue.
pub(crate) const RGGB: [u8; 4] = [0, 1, 1, 2];
/// The same sensor turned by 90, 180 and 270 degrees.
pub(crate) const TURNED: [[u8; 4]; 3] = [[1, 0, 2, 1], [2, 1, 1, 0], [1, 2, 0, 1]];

/// A DNG of the scene whose colour at each place `color_at` says, in sRGB. The width is a multiple of four.
pub(crate) fn dng(width: u32, height: u32, pattern: [u8; 4], orientation: u16, color_at: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    assert_eq!(width % 4, 0, "rows of packed samples end on whole bytes");
    let light: Vec<[u16; 3]> = (0..=255_u32)
        .map(|code| {
            let shown = f64::from(code) / 255.0;
            let linear = if shown <= 0.040_45 { shown / 12.92 } else { ((shown + 0.055) / 1.055).powf(2.4) };
            NEUTRAL.map(|gain| BLACK + (linear * gain * f64::from(WHITE - BLACK)).round() as u16)
        })
        .collect();
    let mut packed = Vec::with_capacity((width * height / 4 * 7) as usize);
    for y in 0..height {
        for start in (0..width).step_by(4) {
            let mut bits = 0_u64;
            for x in start..start + 4 {
                let channel = usize::from(pattern[(y % 2 * 2 + x % 2) as usize]);
                bits = bits << 14 | u64::from(light[usize::from(color_at(x, y)[channel])][channel]);
            }
            packed.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
    }
    container(width, height, pattern, orientation, Sensor { bits: 14, compression: 1, photometric: 32_803, channels: 1, data: packed })
}

/// A DNG whose sensor data is JPEG, in one tile: the lossy kind.
pub(crate) fn lossy_dng(width: u32, height: u32, jpeg: Vec<u8>) -> Vec<u8> {
    container(width, height, RGGB, 1, Sensor { bits: 8, compression: 34_892, photometric: 34_892, channels: 3, data: jpeg })
}

/// Type, count and bytes of a tag's value.
type Field = (u16, usize, Vec<u8>);

struct Sensor {
    bits: u16,
    compression: u16,
    photometric: u16,
    channels: u16,
    data: Vec<u8>,
}

fn container(width: u32, height: u32, pattern: [u8; 4], orientation: u16, sensor: Sensor) -> Vec<u8> {
    let shorts = |values: &[u16]| (3, values.len(), values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let longs = |values: &[u32]| (4, values.len(), values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let text = |value: &str| (2, value.len() + 1, [value.as_bytes(), b"\0"].concat());
    let bytes = |values: &[u8]| (1, values.len(), values.to_vec());
    let fractions = |kind: u16, values: &[f64]| {
        let raw = values.iter().flat_map(|value| [(value * 10_000.0).round() as i32, 10_000]).flat_map(i32::to_le_bytes).collect();
        (kind, values.len(), raw)
    };
    // The camera sees linear sRGB with a weak red and blue, so its matrix is that of sRGB with scaled rows (IEC 61966-2-1).
    let matrix = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]];
    let matrix: Vec<f64> = matrix.iter().zip(NEUTRAL).flat_map(|(row, gain)| row.map(|value| value * gain)).collect();
    let length = sensor.data.len() as u32;
    let is_mosaic = sensor.channels == 1;
    let mut tags: Vec<(u16, Field)> = vec![
        (0x00fe, longs(&[0])),
        (0x0100, longs(&[width])),
        (0x0101, longs(&[height])),
        (0x0102, shorts(&vec![sensor.bits; usize::from(sensor.channels)])),
        (0x0103, shorts(&[sensor.compression])),
        (0x0106, shorts(&[sensor.photometric])),
        (0x010f, text("hm")),
        (0x0110, text("Chart One")),
        (0x0112, shorts(&[orientation])),
        (0x0115, shorts(&[sensor.channels])),
        (0x011c, shorts(&[1])),
        (0xc612, bytes(&[1, 4, 0, 0])),
        (0xc613, bytes(&[1, 1, 0, 0])),
        (0xc614, text("hm Chart One")),
        (0xc621, fractions(10, &matrix)),
        (0xc628, fractions(5, &NEUTRAL)),
        (0xc65a, shorts(&[21])),
    ];
    if is_mosaic {
        tags.extend([(0x0111, longs(&[0])), (0x0116, longs(&[height])), (0x0117, longs(&[length]))]);
        tags.extend([(0x828d, shorts(&[2, 2])), (0x828e, bytes(&pattern))]);
        tags.extend([(0xc61a, shorts(&[BLACK])), (0xc61d, shorts(&[WHITE]))]);
    } else {
        tags.extend([(0x0142, longs(&[width])), (0x0143, longs(&[height])), (0x0144, longs(&[0])), (0x0145, longs(&[length]))]);
    }
    tags.sort_by_key(|(tag, _)| *tag);
    let values_at = 8 + 2 + 12 * tags.len() + 4;
    let values: usize = tags.iter().map(|(_, (_, _, raw))| if raw.len() > 4 { raw.len().next_multiple_of(2) } else { 0 }).sum();
    let data_at = (values_at + values) as u32;
    let mut directory = (tags.len() as u16).to_le_bytes().to_vec();
    let mut outside = Vec::new();
    for (tag, (kind, count, mut raw)) in tags {
        if matches!(tag, 0x0111 | 0x0144) {
            raw = data_at.to_le_bytes().to_vec();
        }
        directory.extend(tag.to_le_bytes());
        directory.extend(kind.to_le_bytes());
        directory.extend((count as u32).to_le_bytes());
        if raw.len() > 4 {
            directory.extend(((values_at + outside.len()) as u32).to_le_bytes());
            raw.resize(raw.len().next_multiple_of(2), 0);
            outside.extend(raw);
        } else {
            raw.resize(4, 0);
            directory.extend(raw);
        }
    }
    [&b"II*\0\x08\0\0\0"[..], &directory, &[0; 4], &outside, &sensor.data].concat()
}
