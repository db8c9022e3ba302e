//! Values with an order: comparisons and ranges of numbers and dates.

/// Which values of an order pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds<T> {
    /// This one: `3`.
    Is(T),
    /// Greater: `>3`.
    Above(T),
    /// Greater or equal: `>=3`, `3..`.
    AtLeast(T),
    /// Less: `<3`.
    Below(T),
    /// Less or equal: `<=3`, `..3`.
    AtMost(T),
    /// From the first to the second, both included: `3..5`.
    Between(T, T),
}

impl<T> Bounds<T> {
    /// The same bounds of other values.
    ///
    /// # Errors
    /// The first that `change` returns.
    pub(super) fn try_map<U, E>(self, mut change: impl FnMut(T) -> Result<U, E>) -> Result<Bounds<U>, E> {
        Ok(match self {
            Self::Is(value) => Bounds::Is(change(value)?),
            Self::Above(value) => Bounds::Above(change(value)?),
            Self::AtLeast(value) => Bounds::AtLeast(change(value)?),
            Self::Below(value) => Bounds::Below(change(value)?),
            Self::AtMost(value) => Bounds::AtMost(change(value)?),
            Self::Between(low, high) => Bounds::Between(change(low)?, change(high)?),
        })
    }
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether a value passes.
    pub fn hold(&self, value: &T) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::Above(limit) => value > limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Below(limit) => value < limit,
            Self::AtMost(limit) => value <= limit,
            Self::Between(low, high) => low <= value && value <= high,
        }
    }
}

/// How far two measured values may lie apart and still be the same, relative to their size: cameras write 1/250 s as 0.004 or
/// as 0.00399, and f/2.8 as 2.8284.
const SAME: f64 = 0.012;

impl Bounds<f64> {
    /// Lowest and highest value that pass, for values that were measured or rounded: equal means nearly equal.
    pub fn limits(&self) -> (Option<f64>, Option<f64>) {
        let below = |value: f64| value - value.abs() * SAME;
        let above = |value: f64| value + value.abs() * SAME;
        match *self {
            Self::Is(value) => (Some(below(value)), Some(above(value))),
            Self::Above(value) => (Some(above(value)), None),
            Self::AtLeast(value) => (Some(below(value)), None),
            Self::Below(value) => (None, Some(below(value))),
            Self::AtMost(value) => (None, Some(above(value))),
            Self::Between(low, high) => (Some(below(low)), Some(above(high))),
        }
    }
}

/// A comparison or range as it stands in the text, its values still text, each with how many bytes stand before it.
pub(super) fn bounds(text: &str) -> Bounds<(usize, &str)> {
    for (sign, make) in
        [(">=", Bounds::AtLeast as fn(_) -> _), ("<=", Bounds::AtMost), (">", Bounds::Above), ("<", Bounds::Below), ("=", Bounds::Is)]
    {
        if let Some(rest) = text.strip_prefix(sign) {
            return make((sign.len(), rest));
        }
    }
    match text.split_once("..") {
        Some((low, "")) => Bounds::AtLeast((0, low)),
        Some(("", high)) => Bounds::AtMost((2, high)),
        Some((low, high)) => Bounds::Between((0, low), (low.len() + 2, high)),
        None => Bounds::Is((0, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_dots_are_told_apart() {
        assert_eq!(bounds(">=3"), Bounds::AtLeast((2, "3")));
        assert_eq!(bounds("<2.8"), Bounds::Below((1, "2.8")));
        assert_eq!(bounds("3..5"), Bounds::Between((0, "3"), (3, "5")));
        assert_eq!(bounds("3.."), Bounds::AtLeast((0, "3")));
        assert_eq!(bounds("..5"), Bounds::AtMost((2, "5")));
        assert_eq!(bounds("3"), Bounds::Is((0, "3")));
    }

    #[test]
    fn measured_values_are_nearly_equal_and_less_is_less() {
        let passes = |bounds: Bounds<f64>, value: f64| {
            let (low, high) = bounds.limits();
            low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high)
        };
        assert!(passes(Bounds::Is(2.8), 2.828) && passes(Bounds::Is(0.004), 0.00399));
        assert!(!passes(Bounds::Below(2.8), 2.8) && passes(Bounds::Below(2.8), 2.5));
        assert!(!passes(Bounds::Above(2.8), 2.8) && passes(Bounds::AtMost(2.8), 2.8));
    }
}
