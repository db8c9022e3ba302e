//! Keywords, flat and hierarchical, kept saying the same thing.
//!
//! Every program reads flat keywords, some read trees: so every level of a tree is also a flat keyword, whoever wrote it. That is the
//! normal form in which keywords are compared, merged and written.
//!
//! # Source
//! Lightroom's `lr:hierarchicalSubject` (levels divided by `|`) beside `dc:subject`.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::{EditError, Field, is_printable};

/// Divides levels.
const LEVEL: char = '|';
/// Longest keyword with all its levels, in characters.
const LONGEST: usize = 1_000;
/// Most keywords of one image.
const MOST: usize = 1_000;

/// The keywords of an image in normal form: every level of a tree is in `flat` too, and a tree has at least two levels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Keywords {
    flat: BTreeSet<String>,
    hierarchical: BTreeSet<String>,
}

impl Keywords {
    /// Brings keywords as they stand in files into normal form. `hierarchical` may hold trees of one level; so may `flat` hold trees.
    pub fn new(flat: impl IntoIterator<Item = impl Into<String>>, hierarchical: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut keywords = Self::default();
        let all = flat.into_iter().map(Into::into).chain(hierarchical.into_iter().map(Into::into));
        for keyword in all {
            let levels: Vec<&str> = keyword.split(LEVEL).map(str::trim).filter(|level| !level.is_empty()).collect();
            keywords.flat.extend(levels.iter().map(|level| (*level).to_owned()));
            if levels.len() > 1 {
                keywords.hierarchical.insert(levels.join("|"));
            }
        }
        keywords
    }

    /// Single words and every level of every tree, in order.
    pub fn flat(&self) -> &BTreeSet<String> {
        &self.flat
    }

    /// Trees with `|` between their levels, in order.
    pub fn hierarchical(&self) -> &BTreeSet<String> {
        &self.hierarchical
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flat.is_empty()
    }

    /// Those that stand for themselves: trees, and words that are no level of one. What a person is shown, and can give back.
    pub fn plain(&self) -> Vec<&str> {
        let implied = levels_of(&self.hierarchical);
        let words = self.flat.iter().map(String::as_str).filter(|word| !implied.contains(word));
        self.hierarchical.iter().map(String::as_str).chain(words).collect()
    }

    /// With those of `more`.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        Self { flat: &self.flat | &more.flat, hierarchical: &self.hierarchical | &more.hierarchical }
    }

    /// Without those of `less`. A tree goes with all below it, and takes along the levels that only it needed; a word that is a level of
    /// a tree cuts the tree above it.
    #[must_use]
    pub fn without(&self, less: &Self) -> Self {
        let mut kept = self.clone();
        for tree in &less.hierarchical {
            let below = format!("{tree}|");
            let gone: Vec<String> = kept.hierarchical.iter().filter(|own| *own == tree || own.starts_with(&below)).cloned().collect();
            for own in &gone {
                kept.hierarchical.remove(own);
            }
            let needed: BTreeSet<String> = levels_of(&kept.hierarchical).into_iter().map(str::to_owned).collect();
            kept.flat.retain(|word| needed.contains(word) || !gone.iter().any(|own| own.split(LEVEL).any(|level| level == word)));
        }
        let implied = levels_of(&less.hierarchical);
        for word in less.flat.iter().filter(|word| !implied.contains(word.as_str())) {
            kept.cut(word);
        }
        kept
    }

    /// Removes a word wherever it stands.
    fn cut(&mut self, word: &str) {
        let cut: Vec<String> = self.hierarchical.iter().filter(|tree| tree.split(LEVEL).any(|level| level == word)).cloned().collect();
        let mut below: BTreeSet<String> = BTreeSet::new();
        for tree in &cut {
            self.hierarchical.remove(tree);
            let above: Vec<&str> = tree.split(LEVEL).take_while(|level| *level != word).collect();
            below.extend(tree.split(LEVEL).skip(above.len()).map(str::to_owned));
            if above.len() > 1 {
                self.hierarchical.insert(above.join("|"));
            }
        }
        let needed: BTreeSet<String> = levels_of(&self.hierarchical).into_iter().map(str::to_owned).collect();
        self.flat.retain(|own| own != word && (needed.contains(own) || !below.contains(own)));
    }

    /// What `ours` and `theirs` each did to `base`, done together: never a conflict. A word that one side removed stays only where the
    /// other side put it into a tree.
    pub(super) fn merge(base: &Self, ours: &Self, theirs: &Self) -> Self {
        let set = |of: fn(&Self) -> &BTreeSet<String>| -> BTreeSet<String> {
            let (base, ours, theirs) = (of(base), of(ours), of(theirs));
            let kept = |word: &String| if base.contains(word) { ours.contains(word) && theirs.contains(word) } else { true };
            ours.union(theirs).filter(|word| kept(word)).cloned().collect()
        };
        Self::new(set(Self::flat), set(Self::hierarchical))
    }

    /// As a person may write them.
    pub(super) fn checked(self) -> Result<Self, EditError> {
        let fail = |problem: String| Err(EditError::new(Field::Keywords, problem));
        for keyword in self.flat.iter().chain(&self.hierarchical) {
            if let Some(bad) = keyword.chars().find(|character| !is_printable(*character)) {
                return fail(format!("hold U+{:04X}, which is no text", u32::from(bad)));
            }
            if keyword.chars().count() > LONGEST {
                return fail(format!("are longer than {LONGEST} characters"));
            }
        }
        if self.flat.len() > MOST {
            return fail(format!("are more than {MOST}"));
        }
        Ok(self)
    }
}

/// Every level of every tree.
fn levels_of(trees: &BTreeSet<String>) -> BTreeSet<&str> {
    trees.iter().flat_map(|tree| tree.split(LEVEL)).collect()
}

impl<'de> Deserialize<'de> for Keywords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            List(Vec<String>),
            #[serde(rename_all = "snake_case")]
            Both {
                #[serde(default)]
                flat: Vec<String>,
                #[serde(default)]
                hierarchical: Vec<String>,
            },
        }
        let (flat, hierarchical) = match Form::deserialize(deserializer)? {
            Form::List(list) => (list, Vec::new()),
            Form::Both { flat, hierarchical } => (flat, hierarchical),
        };
        let is_broken = |keyword: &&String| keyword.contains(LEVEL) && keyword.split(LEVEL).any(|level| level.trim().is_empty());
        if let Some(broken) = flat.iter().chain(&hierarchical).find(is_broken) {
            return Err(serde::de::Error::custom(format!("`{broken}` has an empty level")));
        }
        Ok(Self::new(flat, hierarchical))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(keywords: &[&str]) -> Keywords {
        Keywords::new(keywords.iter().copied(), [""; 0])
    }

    #[test]
    fn every_level_is_flat_and_one_level_is_no_tree() {
        let keywords = Keywords::new(["red"], ["vehicle|car", "beach"]);
        assert_eq!(keywords.flat().iter().collect::<Vec<_>>(), ["beach", "car", "red", "vehicle"]);
        assert_eq!(keywords.hierarchical().iter().collect::<Vec<_>>(), ["vehicle|car"]);
        assert_eq!(keywords.plain(), ["vehicle|car", "beach", "red"]);
        assert_eq!(list(&keywords.plain()), keywords);
    }

    #[test]
    fn a_tree_goes_with_what_only_it_needed() {
        let keywords = list(&["vehicle|car|vw", "vehicle|bus", "red"]);
        assert_eq!(keywords.without(&list(&["vehicle|car"])), list(&["vehicle|bus", "red"]));
        assert_eq!(keywords.without(&list(&["vehicle|bus"])), list(&["vehicle|car|vw", "red"]));
        assert_eq!(keywords.without(&list(&["vehicle|car|vw"])), list(&["vehicle|bus", "red"]));
    }

    #[test]
    fn a_word_cuts_the_trees_above_it() {
        let keywords = list(&["vehicle|car|vw", "red"]);
        assert_eq!(keywords.without(&list(&["car"])), list(&["vehicle", "red"]));
        assert_eq!(keywords.without(&list(&["vw"])), list(&["vehicle|car", "red"]));
        assert_eq!(keywords.without(&list(&["vehicle"])), list(&["red"]));
        assert_eq!(keywords.without(&list(&["red"])), list(&["vehicle|car|vw"]));
        assert_eq!(keywords.without(&list(&["blue"])), keywords);
    }

    pub(in super::super) fn any_keywords() -> impl Strategy<Value = Keywords> {
        let keyword = prop::collection::vec("[a-d]", 1..4).prop_map(|levels| levels.join("|"));
        prop::collection::vec(keyword, 0..5).prop_map(|list| Keywords::new(list, [""; 0]))
    }

    fn is_normal(keywords: &Keywords) -> bool {
        Keywords::new(keywords.flat.clone(), keywords.hierarchical.clone()) == *keywords
    }

    proptest! {
        #[test]
        fn merging_loses_no_addition_and_respects_removals(base in any_keywords(), ours in any_keywords(), theirs in any_keywords()) {
            let merged = Keywords::merge(&base, &ours, &theirs);
            prop_assert!(is_normal(&merged));
            for side in [&ours, &theirs] {
                for of in [Keywords::flat, Keywords::hierarchical] {
                    prop_assert!(of(side).difference(of(&base)).all(|added| of(&merged).contains(added)));
                }
                prop_assert!(base.hierarchical.difference(&side.hierarchical).all(|removed| !merged.hierarchical.contains(removed)));
                let implied = levels_of(&merged.hierarchical);
                prop_assert!(base.flat.difference(&side.flat).all(|removed| !merged.flat.contains(removed) || implied.contains(removed.as_str())));
            }
            prop_assert!(merged.flat.iter().all(|word| ours.flat.contains(word) || theirs.flat.contains(word)));
        }

        #[test]
        fn merging_has_no_favourite_and_settles(base in any_keywords(), ours in any_keywords(), theirs in any_keywords()) {
            let merged = Keywords::merge(&base, &ours, &theirs);
            prop_assert_eq!(&merged, &Keywords::merge(&base, &theirs, &ours));
            prop_assert_eq!(&merged, &Keywords::merge(&theirs, &merged, &theirs));
            prop_assert_eq!(&Keywords::merge(&base, &ours, &base), &ours);
            prop_assert_eq!(&Keywords::merge(&base, &ours, &ours), &ours);
        }

        #[test]
        fn adding_and_removing_stay_normal_and_do_what_they_say(own in any_keywords(), other in any_keywords()) {
            let (with, without) = (own.with(&other), own.without(&other));
            prop_assert!(is_normal(&with) && is_normal(&without));
            prop_assert!(other.flat.is_subset(&with.flat) && own.flat.is_subset(&with.flat));
            prop_assert!(without.flat.is_subset(&own.flat));
            prop_assert!(without.hierarchical.is_disjoint(&other.hierarchical));
            let implied = levels_of(&other.hierarchical);
            prop_assert!(other.flat.iter().filter(|word| !implied.contains(word.as_str())).all(|word| !without.flat.contains(word)));
            prop_assert_eq!(&without.without(&other), &without);
        }
    }
}
