//! `hm pixel-worker`: decodes one picture after the other for the server, or for a worker with the vault mounted, under limits, as a child
//! of it.

use rustix::process::nice;

use crate::{
    config::Config,
    media::{
        child,
        pixels::{self, PicturesMade, PixelRequest, PixelsError, ProxyMade},
    },
    roles::Exit,
};

/// How much this process stands back for the ones that answer pages.
const NICE: i32 = 5;

/// Answers requests until whoever started it is gone.
///
/// # Errors
/// When this was not started by a pool of children.
pub(crate) fn run(config: &Config) -> anyhow::Result<Exit> {
    // Without it pages are a little slower while pictures are made.
    let _ = nice(NICE);
    child::serve(Some(config.thumbs.memory_mib << 20), answer)?;
    Ok(Exit::Done)
}

fn answer(request: &[u8]) -> Vec<u8> {
    let answer: Result<PicturesMade, PixelsError> = match serde_json::from_slice::<PixelRequest>(request) {
        Ok(PixelRequest::Pictures(request)) => pixels::make_pictures(&request),
        Ok(PixelRequest::Proxy(request)) => return ProxyMade::to_frame(&pixels::make_proxy(&request)),
        Err(error) => Err(PixelsError::Read(format!("the request is not understood: {error}"))),
    };
    serde_json::to_vec(&answer).expect("plain values have a JSON form")
}
