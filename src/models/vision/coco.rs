//! Masks as COCO writes them: counts as numbers, or packed into a string. Apart, because it faces text from outside.
//!
//! # Source
//! The format of pycocotools: each count is written as its difference to the count two before it (from the fourth on), in groups of
//! five bits, lowest first; bit 5 of a group says that more follow, bit 4 of the last one is the sign; 48 is added to make text.

use serde::{Deserialize, Serialize};

use super::Mask;

/// What is wrong with a mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMask {
    /// The image has too many pixels.
    #[error("a mask of {width_px} × {height_px} px is too large: at most 4,294,967,295 pixels")]
    TooLarge {
        /// Width of the image.
        width_px: u32,
        /// Height of the image.
        height_px: u32,
    },
    /// The runs do not cover the image, or not in order.
    #[error("a mask of {width_px} × {height_px} px has runs over {covered} pixels")]
    WrongLength {
        /// Width of the image.
        width_px: u32,
        /// Height of the image.
        height_px: u32,
        /// How far the runs reach.
        covered: u64,
    },
    /// A character that belongs to no count, or a count that never ends.
    #[error("the counts of a mask cannot be read at character {at}")]
    BadCounts {
        /// Place of the character, counted from 0.
        at: usize,
    },
    /// Two masks that should be of one image are not.
    #[error("masks of different images: {width_px} × {height_px} px and {other_width_px} × {other_height_px} px")]
    OtherSize {
        /// Width of the first.
        width_px: u32,
        /// Height of the first.
        height_px: u32,
        /// Width of the second.
        other_width_px: u32,
        /// Height of the second.
        other_height_px: u32,
    },
}

/// Number of pixels of an image.
pub(super) fn pixels(width_px: u32, height_px: u32) -> Result<u32, InvalidMask> {
    width_px.checked_mul(height_px).ok_or(InvalidMask::TooLarge { width_px, height_px })
}

/// A mask as JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Coco {
    /// Height and width.
    size: [u32; 2],
    counts: Counts,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Counts {
    Packed(String),
    Plain(Vec<u32>),
}

impl From<Mask> for Coco {
    fn from(mask: Mask) -> Self {
        Self { size: [mask.height_px, mask.width_px], counts: Counts::Packed(mask.to_counts_string()) }
    }
}

impl TryFrom<Coco> for Mask {
    type Error = InvalidMask;

    fn try_from(coco: Coco) -> Result<Self, InvalidMask> {
        let [height_px, width_px] = coco.size;
        match coco.counts {
            Counts::Packed(text) => Self::of_counts_string(width_px, height_px, &text),
            Counts::Plain(counts) => Self::of_counts(width_px, height_px, &counts),
        }
    }
}

impl Mask {
    /// From COCO's uncompressed counts. Empty runs in between are allowed, as other programs write them.
    ///
    /// # Errors
    /// [`InvalidMask::TooLarge`], or [`InvalidMask::WrongLength`] when the counts do not cover the image exactly.
    pub fn of_counts(width_px: u32, height_px: u32, counts: &[u32]) -> Result<Self, InvalidMask> {
        let pixels = pixels(width_px, height_px)?;
        let covered: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if covered != u64::from(pixels) {
            return Err(InvalidMask::WrongLength { width_px, height_px, covered });
        }
        let mut at = 0;
        Self::of_fills(
            width_px,
            height_px,
            counts.chunks(2).map(|pair| {
                let from = at + pair[0];
                at = from + pair.get(1).copied().unwrap_or(0);
                (from, at)
            }),
        )
    }

    /// From COCO's packed counts.
    ///
    /// # Errors
    /// [`InvalidMask::BadCounts`] for text that holds no counts; those of [`Mask::of_counts`].
    pub fn of_counts_string(width_px: u32, height_px: u32, text: &str) -> Result<Self, InvalidMask> {
        let mut counts: Vec<u32> = Vec::new();
        let (mut number, mut shift) = (0_i64, 0);
        for (at, byte) in text.bytes().enumerate() {
            let bad = InvalidMask::BadCounts { at };
            // Seven groups hold every count and difference there can be.
            if !(48..48 + 64).contains(&byte) || shift > 30 {
                return Err(bad);
            }
            let group = i64::from(byte - 48);
            number |= (group & 0x1f) << shift;
            shift += 5;
            if group & 0x20 != 0 {
                continue;
            }
            if group & 0x10 != 0 {
                number |= -1 << shift;
            }
            if counts.len() > 2 {
                number += i64::from(counts[counts.len() - 2]);
            }
            counts.push(u32::try_from(number).map_err(|_| bad)?);
            (number, shift) = (0, 0);
        }
        if shift > 0 {
            return Err(InvalidMask::BadCounts { at: text.len() });
        }
        Self::of_counts(width_px, height_px, &counts)
    }

    /// COCO's packed counts.
    pub fn to_counts_string(&self) -> String {
        let runs = self.runs();
        let mut text = String::with_capacity(2 * runs.len());
        for (index, &run) in runs.iter().enumerate() {
            let mut number = i64::from(run) - if index > 2 { i64::from(runs[index - 2]) } else { 0 };
            loop {
                let group = (number & 0x1f) as u8;
                number >>= 5;
                let is_last = number == if group & 0x10 != 0 { -1 } else { 0 };
                text.push(char::from(48 + group + if is_last { 0 } else { 0x20 }));
                if is_last {
                    break;
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Worked out by hand from the description of the format: one group, two groups, a negative difference, and one that needs a
    /// second group for its sign alone.
    const COUNTS: [u32; 9] = [6, 1, 40, 4, 5, 4, 5, 4, 21];
    const PACKED: &str = "61X13mN000`0";

    #[test]
    fn counts_are_packed_as_coco_packs_them() {
        let mask = Mask::of_counts(10, 9, &COUNTS).unwrap();
        assert_eq!(mask.to_counts_string(), PACKED);
        assert_eq!(Mask::of_counts_string(10, 9, PACKED), Ok(mask.clone()));
        assert_eq!(mask.runs(), COUNTS);
        assert_eq!(serde_json::to_string(&mask).unwrap(), format!("{{\"size\":[9,10],\"counts\":\"{PACKED}\"}}"));
        assert_eq!(serde_json::from_str::<Mask>(r#"{"size":[9,10],"counts":[6,1,40,4,5,4,5,4,21]}"#).unwrap(), mask);
    }

    #[test]
    fn the_ends_of_the_number_range_are_packed() {
        // 15 fits one group, 16 looks negative in one and takes two, 1023 looks negative in two and takes three.
        for (counts, packed) in [([15, 1], "?1"), ([16, 1], "`01"), ([1023, 1], "oo01")] {
            let mask = Mask::of_counts(counts[0] + counts[1], 1, &counts).unwrap();
            assert_eq!(mask.to_counts_string(), packed);
        }
        let huge = Mask::of_counts(u32::MAX, 1, &[u32::MAX - 1, 1]).unwrap();
        assert_eq!(Mask::of_counts_string(u32::MAX, 1, &huge.to_counts_string()), Ok(huge));
    }

    #[test]
    fn empty_runs_in_between_are_taken_out() {
        let mask = Mask::of_counts(3, 2, &[1, 1, 0, 2, 2, 0]).unwrap();
        assert_eq!(mask.runs(), [1, 3, 2]);
    }

    #[test]
    fn hostile_counts_are_refused() {
        let read = |text: &str| Mask::of_counts_string(10, 9, text);
        assert_eq!(read("61X"), Err(InvalidMask::BadCounts { at: 3 }));
        assert_eq!(read("6!"), Err(InvalidMask::BadCounts { at: 1 }));
        assert_eq!(read("6é"), Err(InvalidMask::BadCounts { at: 1 }));
        assert_eq!(read("o"), Err(InvalidMask::BadCounts { at: 1 }));
        assert_eq!(read("N"), Err(InvalidMask::BadCounts { at: 0 }), "a negative count");
        assert!(matches!(read("oooooooooooooooooo0"), Err(InvalidMask::BadCounts { at: 7 })));
        assert!(matches!(read("61"), Err(InvalidMask::WrongLength { covered: 7, .. })));
        assert!(matches!(read(""), Err(InvalidMask::WrongLength { covered: 0, .. })));
        assert!(serde_json::from_str::<Mask>(r#"{"size":[4294967295,4294967295],"counts":"0"}"#).is_err());
    }

    proptest! {
        #[test]
        fn packed_counts_come_back((mask, _) in crate::models::vision::tests::any_mask()) {
            let packed = mask.to_counts_string();
            prop_assert_eq!(Mask::of_counts_string(mask.width_px(), mask.height_px(), &packed).unwrap(), mask.clone());
            let json = serde_json::to_string(&mask).unwrap();
            prop_assert_eq!(serde_json::from_str::<Mask>(&json).unwrap(), mask);
        }

        #[test]
        fn long_counts_come_back(counts in proptest::collection::vec(1_u32..200_000_000, 2..20)) {
            let mask = Mask::of_counts(counts.iter().sum(), 1, &counts).unwrap();
            prop_assert_eq!(Mask::of_counts_string(mask.width_px(), 1, &mask.to_counts_string()).unwrap(), mask);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-o]{0,12}") {
            let _ = Mask::of_counts_string(5, 7, &text);
        }
    }
}
