//! Numbers that look random and never change: a small generator and smooth noise, the same on every run of a seed.
//!
//! Apart from the rest because the demo promises the same bytes for the same seed, which `rand` does not promise over its versions.

/// A generator of the SplitMix family: one `u64` of state, every seed usable.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// The sequence number `stream` of `seed`; sequences do not depend on each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..1`.
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// A number in `low..high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number in `0..end`; `end` must not be 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of the things; there must be one.
    pub(super) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    /// Smooth noise of its own.
    pub(super) fn noise(&mut self) -> Noise {
        Noise(self.next() as u32)
    }
}

/// Smooth noise over the plane, in `0..1`, with features about one unit wide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise(u32);

impl Noise {
    fn corner(self, x: i32, y: i32) -> f32 {
        let mut h = (x as u32).wrapping_mul(0x85EB_CA6B) ^ (y as u32).wrapping_mul(0xC2B2_AE35) ^ self.0;
        h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
        h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
        ((h ^ (h >> 15)) >> 8) as f32 / (1_u32 << 24) as f32
    }

    /// One layer.
    pub(super) fn at(self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x.floor(), y.floor());
        let (ix, iy) = (fx as i32, fy as i32);
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (tx, ty) = (ease(x - fx), ease(y - fy));
        let top = self.corner(ix, iy) * (1.0 - tx) + self.corner(ix + 1, iy) * tx;
        let bottom = self.corner(ix, iy + 1) * (1.0 - tx) + self.corner(ix + 1, iy + 1) * tx;
        top * (1.0 - ty) + bottom * ty
    }

    /// Layers of doubling detail and halving weight, still in `0..1`.
    pub(super) fn layers(self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut weight, mut scale, mut total) = (0.0, 1.0, 1.0, 0.0);
        for octave in 0..octaves {
            sum += weight * Self(self.0.wrapping_add(octave.wrapping_mul(0x9E37_79B9))).at(x * scale, y * scale);
            total += weight;
            weight *= 0.5;
            scale *= 2.0;
        }
        sum / total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers_and_streams_differ() {
        let draw = |seed, stream| Rng::new(seed, stream).next();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn noise_stays_between_nought_and_one_and_is_continuous() {
        let noise = Rng::new(7, 0).noise();
        let mut previous = noise.layers(-5.0, 0.3, 4);
        for step in 1..2000 {
            let value = noise.layers(-5.0 + step as f32 * 0.005, 0.3, 4);
            assert!((0.0..=1.0).contains(&value));
            assert!((value - previous).abs() < 0.06, "jump at {step}");
            previous = value;
        }
    }
}
