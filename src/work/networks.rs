//! The networks of the lanes: from the shelf or, on another machine, first from the server onto this machine's own shelf; opened on the
//! device; and a picture's way through one.

use std::fs;

use crate::{
    infer::{
        InferError, Rgb8,
        engine::{Detector, Device, PictureEmbedder, Prepared},
        manifest::Manifest,
        pull::{Client, Looked},
        shelf::{Shelf, Shelved},
    },
    models::task::{Answer, Lane, NetworkVersion, TaskKind},
    work::server::{Refusal, Server},
};

/// Why a network did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRun {
    /// The device has too little memory for so many pictures.
    OutOfMemory(String),
    /// Anything else.
    Failed(String),
}

/// A network that is ready to run.
pub trait Network: Send + Sync {
    /// A picture as the network takes it.
    type Prepared: Send;

    /// The CPU's half.
    ///
    /// # Errors
    /// When the picture is none.
    fn prepare(&self, picture: &Rgb8<'_>) -> Result<Self::Prepared, String>;

    /// The device's half: an answer for each picture, in their order.
    ///
    /// # Errors
    /// [`NotRun`], for the batch as a whole.
    fn run(&self, pictures: &[Self::Prepared]) -> Result<Vec<Answer>, NotRun>;
}

/// Where networks come from.
pub trait Networks: Send + Sync {
    /// What they are once they are open.
    type Network: Network;

    /// Opens the network of a lane. May take long.
    ///
    /// # Errors
    /// Why it cannot be had now, for people; it is tried again.
    fn open(&self, lane: &Lane) -> Result<Self::Network, String>;
}

/// The imported networks, on one device.
pub struct Engine {
    shelf: Shelf,
    device: Device,
    server: Option<Server>,
}

impl Engine {
    /// Those on a shelf; what it lacks comes from the server, if there is one.
    pub fn new(shelf: Shelf, device: Device, server: Option<Server>) -> Self {
        Self { shelf, device, server }
    }

    fn shelved(&self, network: &NetworkVersion) -> Result<Shelved, String> {
        match self.shelf.find(&network.name) {
            Ok(Some(shelved)) if shelved.network() == *network => return Ok(shelved),
            Ok(_) => {}
            Err(error) => tracing::debug!("{network} on the shelf cannot be used: {error}"),
        }
        match &self.server {
            Some(server) => fetch(&self.shelf, server, network),
            None => Err(format!("{network} is not imported here\nhint: hm models list")),
        }
    }
}

impl Networks for Engine {
    type Network = Open;

    fn open(&self, lane: &Lane) -> Result<Open, String> {
        let shelved = self.shelved(&lane.network)?;
        if shelved.lane().as_ref() != Some(lane) {
            return Err(format!("{} does other things than {lane} asks for", shelved.manifest.title));
        }
        let opened = match lane.kind {
            TaskKind::Embed => PictureEmbedder::open(&shelved, &self.device).map(|embedder| Open::Embedder(Box::new(embedder))),
            TaskKind::Detect => Detector::open(&shelved, &self.device).map(|detector| Open::Detector(Box::new(detector))),
        };
        opened.map_err(|error| error.to_string())
    }
}

/// An open network.
pub enum Open {
    /// Pictures to vectors.
    Embedder(Box<PictureEmbedder>),
    /// Pictures to regions.
    Detector(Box<Detector>),
}

impl Network for Open {
    type Prepared = Prepared;

    fn prepare(&self, picture: &Rgb8<'_>) -> Result<Prepared, String> {
        let prepared = match self {
            Self::Embedder(embedder) => embedder.prepare(picture),
            Self::Detector(detector) => detector.prepare(picture),
        };
        prepared.map_err(|error| error.to_string())
    }

    fn run(&self, pictures: &[Prepared]) -> Result<Vec<Answer>, NotRun> {
        let answers = match self {
            Self::Embedder(embedder) => {
                embedder.run(pictures).map(|vectors| vectors.into_iter().map(|vector| Answer::Embedding { vector }).collect())
            }
            Self::Detector(detector) => detector.run(pictures),
        };
        answers.map_err(|error| not_run(&error))
    }
}

/// Candle passes on what the driver says, as text.
fn not_run(error: &InferError) -> NotRun {
    let text = error.to_string();
    let folded = text.to_lowercase().replace(['_', ' '], "");
    if ["outofmemory", "notenoughmemory", "allocationfailed", "cublasstatusallocfailed"].iter().any(|sign| folded.contains(sign)) {
        NotRun::OutOfMemory(text)
    } else {
        NotRun::Failed(text)
    }
}

/// Brings a network from the server onto the shelf: into a hidden folder, where an earlier try goes on, which gets its name when every file
/// has its digest.
fn fetch(shelf: &Shelf, server: &Server, network: &NetworkVersion) -> Result<Shelved, String> {
    let manifest = manifest_of(server, network)?;
    let hidden = shelf.dir().join(format!(".fetch-{}-{}", network.name, network.version));
    let write = |error: std::io::Error| format!("`{}` cannot be written: {error}", hidden.display());
    fs::create_dir_all(&hidden).map_err(write)?;
    manifest.write(&hidden).map_err(|error| error.to_string())?;
    // Read back: from elsewhere it may name files that are none.
    let manifest = Manifest::read(&hidden).map_err(|error| error.to_string())?;
    let client = Client::for_server(&server.address("/"), &server.authorization());
    tracing::info!("fetching {network} from the server");
    for file in &manifest.files {
        let to = hidden.join(&file.name);
        if fs::metadata(&to).is_ok_and(|facts| facts.len() == file.bytes) {
            continue;
        }
        let expected = Looked { bytes: Some(file.bytes), sha256: Some(file.sha256.clone()) };
        let address = server.address(&format!("/api/v1/models/{}/{}", manifest.name, file.name));
        client.fetch(&address, &to, &expected, &mut |_, _| {}).map_err(|error| error.to_string())?;
    }
    let shelved = Shelved::open(&hidden).map_err(|error| error.to_string())?;
    if let Err(error) = shelved.verify() {
        // Half of it is of another time: from the start.
        fs::remove_dir_all(&hidden).map_err(write)?;
        return Err(error.to_string());
    }
    let folder = shelf.dir().join(&shelved.manifest.name);
    if folder.exists() {
        // Other weights of that name, from before. Where they are in use, the files stay until they are let go.
        let old = shelf.dir().join(format!(".remove-{}-{}", network.name, std::process::id()));
        fs::rename(&folder, &old).and_then(|()| fs::remove_dir_all(&old)).map_err(write)?;
    }
    fs::rename(&hidden, &folder).map_err(write)?;
    Shelved::open(&folder).map_err(|error| error.to_string())
}

/// What the server says of a network.
fn manifest_of(server: &Server, network: &NetworkVersion) -> Result<Manifest, String> {
    #[derive(serde::Deserialize)]
    struct ModelList {
        models: Vec<Manifest>,
    }
    let answer = server.get("/api/v1/models").map_err(|refusal| match refusal {
        Refusal::Away(why) => format!("the server does not answer: {why}"),
        Refusal::Said { message, .. } => message,
    })?;
    let list: ModelList =
        serde_json::from_slice(&answer.bytes).map_err(|error| format!("the server's list of networks is not understood: {error}"))?;
    let is_wanted = |manifest: &Manifest| manifest.name == network.name && manifest.version == network.version;
    list.models.into_iter().find(is_wanted).ok_or_else(|| format!("the server has no {network} any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        let failed = |text: &str| not_run(&InferError::BadInput(text.into()));
        for text in ["DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", "Metal: Out of memory", "CUBLAS_STATUS_ALLOC_FAILED"] {
            assert!(matches!(failed(text), NotRun::OutOfMemory(_)), "{text}");
        }
        assert!(matches!(failed("shapes differ"), NotRun::Failed(_)));
    }
}
