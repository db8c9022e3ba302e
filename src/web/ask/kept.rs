//! Vectors that were made lately: whoever turns the pages of an answer asks for the same again and again.

use std::sync::Arc;

use crate::models::{ImageId, RegionId, task::NetworkVersion};

/// Vectors kept, of at most 4 kB each.
const MOST: usize = 300;

/// What a vector is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    Words(String),
    Image(ImageId),
    Region(RegionId),
    /// What is seen in one state of a picture.
    Picture(Box<Of>, String),
}

/// Vectors by what they are of, the one asked for last at the end.
#[derive(Debug, Default)]
pub(super) struct Kept {
    vectors: Vec<(NetworkVersion, Of, Arc<Vec<f32>>)>,
}

impl Kept {
    /// The vector, if it is kept.
    pub(super) fn find(&mut self, network: &NetworkVersion, of: &Of) -> Option<Arc<Vec<f32>>> {
        let at = self.vectors.iter().rposition(|(known, one, _)| known == network && one == of)?;
        let found = self.vectors.remove(at);
        let vector = Arc::clone(&found.2);
        self.vectors.push(found);
        Some(vector)
    }

    /// Keeps a vector; the one that was not asked for the longest goes.
    pub(super) fn keep(&mut self, network: &NetworkVersion, of: Of, vector: Vec<f32>) -> Arc<Vec<f32>> {
        if let Some(known) = self.find(network, &of) {
            return known;
        }
        if self.vectors.len() >= MOST {
            self.vectors.remove(0);
        }
        let vector = Arc::new(vector);
        self.vectors.push((network.clone(), of, Arc::clone(&vector)));
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_is_kept_for_its_network_alone() {
        let network = |version: &str| NetworkVersion { name: "clip".into(), version: version.into() };
        let words = |number: usize| Of::Words(number.to_string());
        let mut kept = Kept::default();
        for number in 0..MOST {
            kept.keep(&network("a"), words(number), vec![number as f32]);
        }
        assert_eq!(kept.find(&network("a"), &words(0)).as_deref(), Some(&vec![0.0]));
        assert_eq!(kept.find(&network("b"), &words(0)), None);
        kept.keep(&network("a"), words(MOST), vec![1.0]);
        assert!(kept.find(&network("a"), &words(1)).is_none() && kept.find(&network("a"), &words(0)).is_some());
    }
}
