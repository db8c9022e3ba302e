//! The picture of a task, as bytes: the proxy that the server made, from its disk or from it. (`mounted` makes it of the original.)

use std::{fs, io, path::PathBuf};

use super::server::{Refusal, Server};
use crate::models::{PictureSize, task::Task};

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPicture {
    /// Whoever has it does not answer: the same request is made again until it does.
    Away(String),
    /// Not now: the task is tried again later.
    NotNow(String),
    /// Never.
    Never(String),
}

/// Where pictures come from.
pub trait PictureSource: Send + Sync {
    /// The JPEG of the picture that the task names, and of no other state of its image.
    ///
    /// # Errors
    /// [`NoPicture`].
    fn fetch(&self, task: &Task) -> Result<Vec<u8>, NoPicture>;

    /// How many are best fetched at a time.
    fn at_a_time(&self) -> usize;

    /// How many were made of originals in vaults that are mounted here; none where no vault is meant to be.
    fn made_from_vaults(&self) -> Option<u64> {
        None
    }
}

impl<S: PictureSource + ?Sized> PictureSource for Box<S> {
    fn fetch(&self, task: &Task) -> Result<Vec<u8>, NoPicture> {
        (**self).fetch(task)
    }

    fn at_a_time(&self) -> usize {
        (**self).at_a_time()
    }

    fn made_from_vaults(&self) -> Option<u64> {
        (**self).made_from_vaults()
    }
}

/// The directory that the server on this machine puts them into.
#[derive(Debug, Clone)]
pub struct Local {
    thumbs_dir: PathBuf,
}

impl Local {
    /// The directory of `thumbs.dir`.
    pub fn new(thumbs_dir: PathBuf) -> Self {
        Self { thumbs_dir }
    }
}

impl PictureSource for Local {
    fn fetch(&self, task: &Task) -> Result<Vec<u8>, NoPicture> {
        let path = self.thumbs_dir.join(task.picture.relative_path(PictureSize::Proxy));
        fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if self.thumbs_dir.is_dir() => {
                NoPicture::NotNow("its picture is not made yet, or was made anew".into())
            }
            _ => NoPicture::Away(format!("{}: {error}", path.display())),
        })
    }

    fn at_a_time(&self) -> usize {
        2
    }
}

/// The server on another machine.
#[derive(Debug, Clone)]
pub struct Http {
    server: Server,
}

impl Http {
    /// By way of this server.
    pub fn new(server: Server) -> Self {
        Self { server }
    }
}

impl PictureSource for Http {
    fn fetch(&self, task: &Task) -> Result<Vec<u8>, NoPicture> {
        let answer = self.server.get(&format!("/api/v1/images/{}/thumbnail?size=proxy", task.image)).map_err(|refusal| match refusal {
            Refusal::Away(why) => NoPicture::Away(why),
            Refusal::Said { code, message } if code == "picture_pending" => NoPicture::NotNow(message),
            Refusal::Said { message, .. } => NoPicture::Never(message),
        })?;
        if answer.etag.trim_start_matches("W/").trim_matches('"') != task.picture.as_str() {
            return Err(NoPicture::NotNow("the server has another picture of it by now".into()));
        }
        Ok(answer.bytes)
    }

    fn at_a_time(&self) -> usize {
        8
    }
}
