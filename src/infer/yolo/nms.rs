//! Which of the anchors are objects: the best of every cluster of boxes of one class. Pure. Imports nothing.

/// A box with its best class, in px of the network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Left, top, right, bottom.
    pub box_px: [f32; 4],
    /// In 0..=1.
    pub score: f32,
    /// Index of the class.
    pub class: usize,
    /// Index of the anchor, the maps one after another, each line by line.
    pub anchor: usize,
}

/// When a candidate is an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// A score must be above this.
    pub score: f32,
    /// Of two boxes of one class that overlap by more than this (intersection ÷ union), the lower score goes.
    pub overlap: f32,
    /// At most this many objects are kept, the best ones.
    pub most: usize,
}

impl Default for Thresholds {
    /// As the reference implementation predicts: 0.25, 0.7, 300.
    fn default() -> Self {
        Self { score: 0.25, overlap: 0.7, most: 300 }
    }
}

/// Candidates that are looked at, the best ones: a bound on the time of a picture full of nothing.
const MOST_CANDIDATES: usize = 30_000;

/// Non-maximum suppression within each class; the kept ones by falling score, ties in the order of anchors.
pub fn suppress(mut candidates: Vec<Candidate>, thresholds: &Thresholds) -> Vec<Candidate> {
    candidates.retain(|candidate| candidate.score > thresholds.score);
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.anchor.cmp(&b.anchor)));
    candidates.truncate(MOST_CANDIDATES);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.len() == thresholds.most {
            break;
        }
        let covers = |other: &Candidate| other.class == candidate.class && overlap(&other.box_px, &candidate.box_px) > thresholds.overlap;
        if !kept.iter().any(covers) {
            kept.push(candidate);
        }
    }
    kept
}

/// Intersection ÷ union of two boxes (left, top, right, bottom); 0 when both are empty.
pub fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |side: &[f32; 4]| (side[2] - side[0]) * (side[3] - side[1]);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let shared = width * height;
    let union = area(a) + area(b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(left: f32, score: f32, class: usize, anchor: usize) -> Candidate {
        Candidate { box_px: [left, 0.0, left + 10.0, 10.0], score, class, anchor }
    }

    #[test]
    fn the_lower_score_of_two_boxes_goes_only_within_a_class() {
        let candidates = vec![candidate(0.0, 0.5, 1, 0), candidate(1.0, 0.9, 1, 1), candidate(1.0, 0.6, 2, 2)];
        let kept = suppress(candidates, &Thresholds::default());
        assert_eq!(kept.iter().map(|kept| kept.anchor).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn overlap_counts_no_extra_pixel() {
        let halves = overlap(&[0.0, 0.0, 10.0, 10.0], &[5.0, 0.0, 15.0, 10.0]);
        assert!((halves - 1.0 / 3.0).abs() < 1e-6, "{halves}");
        assert_eq!(overlap(&[0.0; 4], &[0.0; 4]), 0.0);
    }

    #[test]
    fn no_more_than_asked_are_kept_and_scores_at_the_threshold_are_not() {
        let candidates = (0..10).map(|i| candidate(100.0 * i as f32, 0.25 + 0.01 * i as f32, 0, i)).collect();
        let kept = suppress(candidates, &Thresholds { most: 3, ..Thresholds::default() });
        assert_eq!(kept.iter().map(|kept| kept.anchor).collect::<Vec<_>>(), [9, 8, 7]);
        assert!(suppress(vec![candidate(0.0, 0.25, 0, 0)], &Thresholds::default()).is_empty());
    }
}
