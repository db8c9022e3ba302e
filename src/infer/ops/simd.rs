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

/// `x Φ(x)`, the exact GELU.
///
/// # Source
/// Φ(x) = erfc(-x/√2) / 2; erfc by its Chebyshev fit with fractional error below 1.2e-7 everywhere (Press et al., Numerical Recipes, 6.2).
#[inline(always)]
pub(super) fn gelu<S: Simd>(s: S, x: S::f32s) -> S::f32s {
    const FIT: [f32; 9] =
        [-0.822_152_2, 1.488_515_9, -1.135_204, 0.278_868_07, -0.186_288_06, 0.096_784_18, 0.374_091_96, 1.000_023_7, -1.265_512_2];
    let splat = |value| s.splat_f32s(value);
    let z = s.mul_f32s(s.abs_f32s(x), splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div_f32s(splat(1.0), s.mul_add_e_f32s(z, splat(0.5), splat(1.0)));
    let mut p = splat(0.170_872_77);
    for coefficient in FIT {
        p = s.mul_add_e_f32s(p, t, splat(coefficient));
    }
    let p = s.sub_f32s(p, s.mul_f32s(z, z));
    // Half of erfc(|x|/√2): what is beyond |x| on one side of the bell.
    let tail = s.mul_f32s(s.mul_f32s(t, exp(s, p)), splat(0.5));
    let negative = s.mul_f32s(x, tail);
    s.select_f32s(s.less_than_f32s(x, splat(0.0)), negative, s.sub_f32s(x, negative))
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
