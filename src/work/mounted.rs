//! The picture of a task, made here of its original, where the original's vault is mounted on this machine: the server sends one short
//! answer instead of a picture.
//!
//! ```text
//! task → server: of which file? → there, of that size and time, inside the mount? → its content is what the task's key names?
//!   → a child with limits makes the proxy → of the server's size, and the file as before?  ── no, anywhere → the server's proxy
//! ```
//!
//! The same decoder makes the same proxy of it as the server did, so that answers do not depend on where their pixels came from, and
//! their boxes lie where the server expects them. Nothing is ever written. Apart, because a build for workers has no decoders for what
//! strangers wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    pictures::{Http, NoPicture, PictureSource},
    server::{Refusal, Server},
};
use crate::{
    config::ThumbsConfig,
    media::{
        child::ChildPool,
        fingerprint_of,
        pixels::{PixelsError, ProxyMade, ProxyRequest},
    },
    models::{Orientation, Original, task::Task},
};

/// Replaces a child after this many pictures, since the libraries inside leak.
const RECYCLE_AFTER: u32 = 500;
/// Larger originals take longer to read and decode than their proxies to send.
const MOST_BYTES: i64 = 128 << 20;
/// What proxies are made from that are made here too. To develop a RAW takes seconds, and the frame of a video depends on the ffmpeg.
const MADE_FROM: [&str; 2] = ["full", "embedded-preview"];

/// Originals where they are mounted, proxies of the server otherwise.
pub struct Mounted {
    server: Server,
    proxies: Http,
    /// Where the vaults are, by name.
    vaults: BTreeMap<String, PathBuf>,
    children: ChildPool,
    at_once: usize,
    patience: Duration,
    max_pixels: u64,
    from_vaults: AtomicU64,
    /// Names of vaults that are not mounted here, once that is said.
    elsewhere: Mutex<BTreeSet<String>>,
}

impl Mounted {
    /// For a worker of this server that has `vaults` mounted. `program` with its arguments is what decodes, `at_once` pictures at a time,
    /// within the limits of `thumbs`.
    pub fn new(
        server: Server,
        vaults: BTreeMap<String, PathBuf>,
        thumbs: &ThumbsConfig,
        program: (PathBuf, Vec<OsString>),
        at_once: usize,
    ) -> Self {
        let (program, arguments) = program;
        Self {
            proxies: Http::new(server.clone()),
            server,
            vaults,
            children: ChildPool::new(program, arguments, at_once).recycle_after(RECYCLE_AFTER),
            at_once,
            patience: Duration::from_secs(thumbs.timeout_s),
            max_pixels: thumbs.max_megapixels.saturating_mul(1_000_000),
            from_vaults: AtomicU64::new(0),
            elsewhere: Mutex::default(),
        }
    }

    /// The proxy, or why it is better had from the server.
    fn make(&self, task: &Task) -> Result<Vec<u8>, String> {
        // Where no disk is there, the server need not be asked.
        if !self.vaults.values().any(|mount| mount.is_dir()) {
            return Err("no vault is mounted".to_owned());
        }
        let original = self.ask(task)?;
        if !is_worth_it(&original) {
            return Err(format!("{} bytes, shown by its {}", original.size_bytes, original.made_from));
        }
        let Some(mount) = self.vaults.get(&original.vault) else {
            self.note_elsewhere(&original.vault);
            return Err(format!("the vault `{}` is not mounted here", original.vault));
        };
        let path = find(&original, mount)?;
        let fingerprint = fingerprint_of(&path).map_err(|error| error.to_string())?;
        if original.picture_of(&fingerprint) != task.picture {
            return Err("its content is another".to_owned());
        }
        let made = self.decode(&original, path).map_err(|error| error.to_string())?;
        if made.proxy_px != original.proxy_px || made.source.name() != original.made_from {
            return Err(format!("{:?} of {} came out, not what the server has", made.proxy_px, made.source.name()));
        }
        // Whoever changed it meanwhile may have changed what was read.
        find(&original, mount)?;
        Ok(made.jpeg)
    }

    /// What the server says the picture of the task is made from.
    fn ask(&self, task: &Task) -> Result<Original, String> {
        #[derive(serde::Deserialize)]
        struct OriginalAnswer {
            original: Option<Original>,
        }
        let answer = self.server.get(&format!("/api/v1/images/{}/original", task.image)).map_err(|refusal| match refusal {
            Refusal::Away(why) => why,
            Refusal::Said { message, .. } => message,
        })?;
        let answer: OriginalAnswer = serde_json::from_slice(&answer.bytes).map_err(|error| error.to_string())?;
        let original = answer.original.ok_or("the server knows of no file that it is made from")?;
        if original.picture == task.picture { Ok(original) } else { Err("the server has another picture of it by now".to_owned()) }
    }

    fn decode(&self, original: &Original, source: PathBuf) -> Result<ProxyMade, PixelsError> {
        let request = ProxyRequest {
            source,
            format: original.format,
            orientation: Orientation::after_decoder(original.orientation, original.decoder_turns),
            stored_px: original.stored_px,
            proxy_px: original.proxy_px.0.max(original.proxy_px.1),
            max_pixels: self.max_pixels,
            timeout_s: self.patience.as_secs(),
        };
        let request = serde_json::to_vec(&request).expect("plain values have a JSON form");
        let answer = self.children.call(&request, self.patience).map_err(|error| PixelsError::Read(error.to_string()))?;
        ProxyMade::from_frame(&answer)
    }

    fn note_elsewhere(&self, vault: &str) {
        if self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).insert(vault.to_owned()) {
            tracing::info!("pictures of the vault `{vault}` come from the server: it is not among those mounted here");
        }
    }
}

impl PictureSource for Mounted {
    fn fetch(&self, task: &Task) -> Result<Vec<u8>, NoPicture> {
        match self.make(task) {
            Ok(jpeg) => {
                self.from_vaults.fetch_add(1, Ordering::Relaxed);
                Ok(jpeg)
            }
            Err(why) => {
                tracing::debug!(image.id = %task.image, "its picture comes from the server: {why}");
                self.proxies.fetch(task)
            }
        }
    }

    fn at_a_time(&self) -> usize {
        self.proxies.at_a_time().max(self.at_once)
    }

    fn made_from_vaults(&self) -> Option<u64> {
        Some(self.from_vaults.load(Ordering::Relaxed))
    }
}

/// Whether to make its proxy here spares anybody anything.
fn is_worth_it(original: &Original) -> bool {
    original.size_bytes <= MOST_BYTES && MADE_FROM.contains(&original.made_from.as_str())
}

/// Where the original is, symlinks followed, if it lies below `mount` and is as the server knows it.
fn find(original: &Original, mount: &Path) -> Result<PathBuf, String> {
    let read = |error: std::io::Error| format!("it cannot be read: {error}");
    let real = original.path.on(mount).canonicalize().map_err(read)?;
    let metadata = real.metadata().map_err(read)?;
    // A pipe would keep the thread waiting for ever.
    if !metadata.is_file() || !real.starts_with(mount.canonicalize().map_err(read)?) {
        return Err("it is no regular file of its vault".to_owned());
    }
    let modified_at_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    if original.is_state(metadata.len(), modified_at_ns) { Ok(real) } else { Err("it was changed".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

    use super::*;
    use crate::models::{FileFormat, PictureKey, RelPath};

    fn original(path: &[u8]) -> Original {
        Original {
            picture: PictureKey::of(&[1; 16], 2, None),
            vault: "photos".into(),
            path: RelPath::from_bytes(path).unwrap(),
            size_bytes: 3,
            modified_at_ns: 0,
            format: FileFormat::Jpeg,
            orientation: None,
            decoder_turns: false,
            stored_px: None,
            proxy_px: (4, 3),
            made_from: "full".into(),
        }
    }

    /// The original as it lies there now.
    fn as_it_is(path: &[u8], file: &Path) -> Original {
        let metadata = fs::metadata(file).unwrap();
        let modified_at_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        Original { size_bytes: metadata.len() as i64, modified_at_ns, ..original(path) }
    }

    #[test]
    fn an_original_is_found_under_its_exact_name_and_in_its_state_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path().canonicalize().unwrap().join("mount");
        let name = b"2019/caf\xe9.jpg";
        let file = mount.join(OsStr::from_bytes(name));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "abc").unwrap();
        let there = as_it_is(name, &file);
        assert_eq!(find(&there, &mount), Ok(file.clone()));
        assert!(find(&Original { size_bytes: 4, ..there.clone() }, &mount).is_err());
        assert!(find(&Original { modified_at_ns: there.modified_at_ns - 3_000_000_000, ..there.clone() }, &mount).is_err());
        assert!(find(&there, &dir.path().join("elsewhere")).is_err(), "nothing is mounted there");
        assert!(find(&as_it_is(b"2019", &mount.join("2019")), &mount).is_err(), "a folder is no file");
        assert!(find(&as_it_is(b"", &mount), &mount).is_err());
    }

    #[test]
    fn a_link_out_of_the_vault_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path().canonicalize().unwrap().join("mount");
        fs::create_dir(&mount).unwrap();
        fs::write(dir.path().join("secret.jpg"), "abc").unwrap();
        fs::write(mount.join("a.jpg"), "abc").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.jpg"), mount.join("out.jpg")).unwrap();
        std::os::unix::fs::symlink(mount.join("a.jpg"), mount.join("in.jpg")).unwrap();
        assert_eq!(find(&as_it_is(b"in.jpg", &mount.join("in.jpg")), &mount), Ok(mount.join("a.jpg")));
        assert_eq!(find(&as_it_is(b"out.jpg", &mount.join("out.jpg")), &mount), Err("it is no regular file of its vault".to_owned()));
        // A mount that is a link itself is one.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&mount, &link).unwrap();
        assert_eq!(find(&as_it_is(b"a.jpg", &mount.join("a.jpg")), &link), Ok(mount.join("a.jpg")));
    }

    #[test]
    fn what_takes_long_to_make_is_fetched() {
        assert!(is_worth_it(&original(b"a.jpg")));
        assert!(is_worth_it(&Original { made_from: "embedded-preview".into(), ..original(b"a.cr2") }));
        for made_from in ["developed", "poster-frame", "something-new"] {
            assert!(!is_worth_it(&Original { made_from: made_from.into(), ..original(b"a.cr2") }), "{made_from}");
        }
        assert!(!is_worth_it(&Original { size_bytes: 1 << 30, ..original(b"a.tif") }));
    }
}
