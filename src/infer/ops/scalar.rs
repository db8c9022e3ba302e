//! Functions of one number for plain loops, which the compiler turns into vectors. Imports nothing of ours.

/// `e^x` for `x` in [-87, 88], beyond that the value at the end: 2 units in the last place, without branches.
///
/// `2^n · e^r` with `n` the nearest whole number to `x / ln 2`: a polynomial for the second factor, the exponent's bits for the first.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding 1.5 · 2²³ leaves a float's whole part in its low bits.
    const TO_WHOLE: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with so few digits that its products with whole numbers are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + TO_WHOLE;
    let whole = shifted - TO_WHOLE;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    // Taylor's series: |r| ≤ 0.347, so the next term is below 6e-8.
    let mut series = 1.0 / 5040.0;
    series = series * r + 1.0 / 720.0;
    series = series * r + 1.0 / 120.0;
    series = series * r + 1.0 / 24.0;
    series = series * r + 1.0 / 6.0;
    series = series * r + 0.5;
    series = series * r + 1.0;
    series = series * r + 1.0;
    series * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_a_few_units_in_the_last_place() {
        for step in -87_000..=88_000 {
            let x = step as f32 / 1000.0;
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(x)) - truth).abs() / truth;
            assert!(error < 3e-7, "exp({x}) is off by {error:e}");
        }
    }
}
