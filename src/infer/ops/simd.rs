//! Vectors of f32 as wide as this processor has them (AVX-512, AVX2, NEON), chosen when the program runs. Apart, so that the loops of
//! the operations read the same on every processor. Safe: `pulp` holds the intrinsics. Imports nothing of ours.

use pulp::{Arch, Simd, WithSimd};

/// Runs `op` compiled for the best instructions that this processor has.
///
/// Everything below `op` must be `#[inline(always)]`, or it is compiled for the oldest processor.
#[inline]
pub(super) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    Arch::new().dispatch(op)
}

/// How wide this processor is: f32 lanes of a register, and registers.
pub(super) fn width() -> (usize, usize) {
    struct Width;
    impl WithSimd for Width {
        type Output = (usize, usize);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> Self::Output {
            (S::F32_LANES, S::REGISTER_COUNT)
        }
    }
    run(Width)
}

/// `e^x`, within 2 units in the last place for -87 ≤ x ≤ 88; beyond, the value at that end. Not for NaN.
///
/// # Source
/// Range reduction by ln 2 in two parts and the degree-5 polynomial of Cephes `expf` (S. Moshier, netlib).
#[inline(always)]
pub(super) fn exp<S: Simd>(s: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 rounds to a whole number, and leaves that number in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    let splat = |value| s.splat_f32s(value);
    let x = s.min_f32s(s.max_f32s(x, splat(-87.3)), splat(88.0));
    let shifted = s.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUNDER));
    let twos = s.sub_f32s(shifted, splat(ROUNDER));
    let r = s.mul_add_e_f32s(twos, splat(-0.693_359_4), x);
    let r = s.mul_add_e_f32s(twos, splat(2.121_944_4e-4), r);
    let mut p = splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = s.mul_add_e_f32s(p, r, splat(coefficient));
    }
    let p = s.add_f32s(s.mul_add_e_f32s(p, s.mul_f32s(r, r), r), splat(1.0));
    let exponent = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(shifted), s.splat_u32s(23));
    s.transmute_f32s_u32s(s.add_u32s(s.transmute_u32s_f32s(p), exponent))
}

/// `x / (1 + e^-x)`.
#[inline(always)]
pub(super) fn silu<S: Simd>(s: S, x: S::f32s) -> S::f32s {
    let one = s.splat_f32s(1.0);
    s.div_f32s(x, s.add_f32s(one, exp(s, s.neg_f32s(x))))
}

/// `x Φ(x)`, the exact GELU, within 4e-7 of the larger of 1 and x.
///
/// # Source
/// Φ(x) = (1 + erf(x/√2)) / 2; erf by the rational approximation that Eigen and XLA use in single precision.
#[inline(always)]
pub(super) fn gelu<S: Simd>(s: S, x: S::f32s) -> S::f32s {
    const ABOVE: [f32; 4] = [0.003_408_291_1, 0.050_955_694, 0.185_208_32, std::f32::consts::FRAC_2_SQRT_PI];
    const BELOW: [f32; 6] = [2.354_796_6e-5, 1.017_962_6e-3, 1.407_047e-2, 1.109_850_5e-1, 4.974_692e-1, 1.0];
    let splat = |value| s.splat_f32s(value);
    // Beyond it erf is 1 in single precision.
    let z = s.mul_f32s(x, splat(std::f32::consts::FRAC_1_SQRT_2));
    let z = s.min_f32s(s.max_f32s(z, splat(-3.832_507)), splat(3.832_507));
    let square = s.mul_f32s(z, z);
    let series = |first: f32, rest: &[f32]| rest.iter().fold(splat(first), |sum, factor| s.mul_add_e_f32s(sum, square, splat(*factor)));
    let erf = s.div_f32s(s.mul_f32s(z, series(0.000_229_050_65, &ABOVE)), series(-1.179_160_3e-7, &BELOW));
    let half = s.mul_f32s(x, splat(0.5));
    s.mul_add_e_f32s(half, erf, half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: impl Iterator<Item = f32>, which: Which, exact: impl Fn(f64) -> f64, tolerance: f64) {
        for value in values {
            let mut lanes = vec![value; 64];
            run(Apply(&mut lanes, which));
            let (got, expected) = (f64::from(lanes[0]), exact(f64::from(value)));
            assert!((got - expected).abs() <= tolerance * expected.abs().max(1e-30), "{which:?}({value}) = {got}, not {expected}");
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Which {
        Exp,
        Silu,
    }

    struct Apply<'a>(&'a mut [f32], Which);
    impl WithSimd for Apply<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            for lane in S::as_mut_simd_f32s(self.0).0 {
                *lane = match self.1 {
                    Which::Exp => exp(s, *lane),
                    Which::Silu => silu(s, *lane),
                };
            }
        }
    }

    #[test]
    fn exp_is_exact_to_single_precision() {
        check((-8700..8800).map(|i| i as f32 * 0.01), Which::Exp, f64::exp, 3e-7);
    }

    #[test]
    fn silu_is_exact_to_single_precision() {
        check((-8000..8800).map(|i| i as f32 * 0.01), Which::Silu, |x| x / (1.0 + (-x).exp()), 5e-7);
    }
}
