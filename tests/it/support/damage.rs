//! Damage that is the same each time.

/// Numbers that are the same each time: xorshift.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The numbers of one round of one test, whatever was rolled in others.
    pub(crate) fn of_round(test: u64, round: usize) -> Self {
        let seed = (test ^ (round as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        let mut dice = Self(seed);
        dice.roll(2);
        dice
    }

    /// One in 0..below.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

/// One to 64 bytes changed, most of them near the start where the structures are, or the end cut off.
pub(crate) fn damaged(content: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut damaged = content.to_vec();
    if dice.roll(8) == 0 {
        damaged.truncate(dice.roll(content.len()));
        return damaged;
    }
    for _ in 0..=dice.roll(64) {
        let reach = if dice.roll(3) == 0 { content.len() } else { content.len().min(4_096) };
        let at = dice.roll(reach);
        damaged[at] = [0, 0xff, 0x7f, dice.roll(256) as u8][dice.roll(4)];
    }
    damaged
}
