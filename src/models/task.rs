//! Work for the networks: what a worker is asked, and what it answers. Both travel through Redis as JSON that states its version.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    ImageId, PictureKey,
    vision::{BoundingBox, Mask},
};

/// The form of tasks and answers. Raised when an older program could not do what is asked, or not read what is answered.
pub const WIRE_VERSION: u32 = 1;

/// What a network is asked to do with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// One vector for the whole picture.
    Embed,
    /// What can be seen, and where: boxes, and masks from a network that makes them.
    Detect,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Embed, Self::Detect];

    /// The word for it in names, columns and addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Detect => "detect",
        }
    }
}

/// One network with one set of weights.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkVersion {
    /// Its name: small letters, digits and `-`.
    pub name: String,
    /// Tells its weights from any others: the first digits of their digest.
    pub version: String,
}

impl fmt::Display for NetworkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Tasks of one kind for one network: `embed/clip-vit-b-32@0a1b2c3d4e5f`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lane {
    /// What is asked.
    pub kind: TaskKind,
    /// Of which network.
    pub network: NetworkVersion,
}

/// The text names no lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no lane: expected KIND/NETWORK@VERSION, such as embed/clip-vit-b-32@0a1b2c3d4e5f")]
pub struct InvalidLane(String);

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.network)
    }
}

impl FromStr for Lane {
    type Err = InvalidLane;

    fn from_str(text: &str) -> Result<Self, InvalidLane> {
        let invalid = || InvalidLane(text.to_owned());
        let (kind, network) = text.split_once('/').ok_or_else(invalid)?;
        let kind = TaskKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or_else(invalid)?;
        let (name, version) = network.split_once('@').ok_or_else(invalid)?;
        let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        if !is_plain(name) || !is_plain(version) {
            return Err(invalid());
        }
        Ok(Self { kind, network: NetworkVersion { name: name.to_owned(), version: version.to_owned() } })
    }
}

impl TryFrom<String> for Lane {
    type Error = InvalidLane;

    fn try_from(text: String) -> Result<Self, InvalidLane> {
        text.parse()
    }
}

impl From<Lane> for String {
    fn from(lane: Lane) -> Self {
        lane.to_string()
    }
}

/// Which tasks of a lane come first, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Somebody looks at the image, or waits for the answer.
    Screen,
    /// Among the newest of the library.
    New,
    /// Everything else that is lacking.
    Backlog,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Screen, Self::New, Self::Backlog];

    /// The word for it in names and addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Screen => "screen",
            Self::New => "new",
            Self::Backlog => "backlog",
        }
    }
}

/// One picture for one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Kind and network.
    pub lane: Lane,
    /// The image.
    pub image: ImageId,
    /// The state of its picture; an answer about another state is not taken.
    pub picture: PictureKey,
    /// How urgent it is.
    pub priority: Priority,
    /// How many times it failed before.
    #[serde(default)]
    pub attempt: u32,
}

/// Something that a network found, in px of the picture it saw, which is upright.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its class, in the words of the network.
    pub label: String,
    /// How sure the network is, 0..=1.
    pub score: f32,
    /// Where it is.
    pub bounds: BoundingBox,
    /// Which pixels it is, of a picture of the size in [`Answer::Regions`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
}

/// What a network says about a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum Answer {
    /// To [`TaskKind::Embed`].
    Embedding {
        /// The vector, of unit length.
        vector: Vec<f32>,
    },
    /// To [`TaskKind::Detect`]; of a picture without anything an empty list.
    Regions {
        /// Width of the upright picture that the network saw.
        width_px: u32,
        /// Height of it.
        height_px: u32,
        /// What there is, the surest first.
        regions: Vec<Found>,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For a person.
    pub error: String,
    /// Whether another try may go better: the picture could not be fetched, the device had no memory.
    pub is_passing: bool,
}

/// A worker's word on a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was asked.
    pub task: Task,
    /// Who answered.
    pub worker: String,
    /// How long the network took for it, its share of a batch, in milliseconds.
    pub took_ms: f32,
    /// The answer.
    pub answer: Result<Answer, Failure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            lane: "embed/clip-vit-b-32@0a1b2c3d4e5f".parse().unwrap(),
            image: ImageId(7),
            picture: PictureKey::of(&[1; 16], 2, None),
            priority: Priority::New,
            attempt: 0,
        }
    }

    #[test]
    fn lanes_are_read_as_they_are_written() {
        let lane = task().lane;
        assert_eq!(lane.kind, TaskKind::Embed);
        assert_eq!(lane.to_string().parse(), Ok(lane));
        for text in ["", "embed", "embed/clip", "draw/clip@1", "embed/@1", "embed/clip@", "embed/a b@1", "embed/a@1@2", "embed/a:*@1"] {
            assert!(text.parse::<Lane>().is_err(), "{text}");
        }
    }

    #[test]
    fn outcomes_survive_the_wire() {
        let mask = Mask::of_bitmap(2, 2, &[true, false, true, true]).unwrap();
        let bounds = BoundingBox { left_px: 0.0, top_px: 0.0, right_px: 2.0, bottom_px: 2.0 };
        let found = Found { label: "dog".into(), score: 0.75, bounds, mask: Some(mask) };
        for answer in [
            Ok(Answer::Embedding { vector: vec![0.6, -0.8] }),
            Ok(Answer::Regions { width_px: 2, height_px: 2, regions: vec![found] }),
            Err(Failure { error: "no memory".into(), is_passing: true }),
        ] {
            let outcome = Outcome { task: task(), worker: "attic".into(), took_ms: 1.5, answer };
            let text = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome, "{text}");
        }
    }
}
