//! What a machine needs that works for the library of another: an invitation, that library's Redis, and its GPU where it has one.

use std::{fs, path::Path};

#[cfg(not(feature = "library"))]
use super::folder;
use super::{Tick, queue};
use crate::{
    config::Config,
    infer::engine::{device, device_name},
    roles::{told, work::kept},
};

/// The folders that a worker writes to.
#[cfg(not(feature = "library"))]
pub(super) fn folders(config: &Config) -> Vec<Tick> {
    vec![
        folder("data directory", &config.data_dir, "choose another with --data-dir or HM_DATA_DIR"),
        folder("networks", &config.models.dir, "choose another with models.dir (HM_MODELS_DIR)"),
    ]
}

/// All that is asked; nothing where there is no invitation and hm can have a library of its own.
pub(super) fn ticks(config: &Config) -> Vec<Tick> {
    match kept(config) {
        Ok(None) if cfg!(feature = "library") => Vec::new(),
        Ok(None) => {
            let hint = "run `hm worker invite` on the server, and paste here the line that it prints";
            vec![Tick::broken("invitation", "no library has invited this machine", hint), gpu()]
        }
        Ok(Some(invitation)) => {
            let by = format!("by {}, which calls this machine `{}`", invitation.server, invitation.name);
            let mut ticks = vec![Tick::works("invitation", by), queue(&invitation.redis_url()), gpu()];
            ticks.extend(config.work.vaults.iter().map(|(name, folder)| mounted(name, folder)));
            ticks
        }
        Err(error) => vec![Tick::of_error("invitation", told(&error)), gpu()],
    }
}

/// A vault that is said to be mounted here: without it pictures come from the server.
fn mounted(name: &str, folder: &Path) -> Tick {
    let found = format!("{name} of that library at `{}`", folder.display());
    if !cfg!(feature = "library") {
        return Tick::lacks("mounted vault", found, "this hm was built without decoders for originals: pictures come from the server");
    }
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Tick::works("mounted vault", found),
        Ok(false) => Tick::lacks("mounted vault", format!("{found} is empty"), "mount it, or correct work.vaults"),
        Err(error) => Tick::lacks("mounted vault", format!("{found}: {error}"), "mount it, or correct work.vaults"),
    }
}

/// The GPU: without one the networks run on the CPU.
fn gpu() -> Tick {
    match device(true) {
        Ok(device) => Tick::works("GPU", format!("{} answers", device_name(&device))),
        Err(error) => {
            let text = error.to_string();
            let (found, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            Tick::lacks("GPU", found, hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn an_invitation_is_ticked_with_the_queue_and_the_gpu() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(dir.path());
        let of_none = ticks(&config);
        assert_eq!(of_none.is_empty(), cfg!(feature = "library"), "{of_none:?}");
        std::fs::write(dir.path().join("invitation"), "hm1.x").unwrap();
        let of_damaged = ticks(&config);
        assert_eq!((of_damaged[0].what, of_damaged[0].state), ("invitation", State::Broken));
        assert!(of_damaged[0].hint.contains("--leave"), "{of_damaged:?}");
    }

    #[test]
    fn a_vault_that_is_not_where_the_settings_say_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let away = mounted("photos", &dir.path().join("away"));
        assert!(away.state == State::Lacks && away.found.contains("photos"), "{away}");
        assert_eq!(mounted("photos", dir.path()).state, State::Lacks, "an empty mount point is no disk");
        fs::write(dir.path().join("a.jpg"), "").unwrap();
        let there = mounted("photos", dir.path());
        assert_eq!(there.state == State::Works, cfg!(feature = "library"), "{there}");
    }

    #[test]
    fn a_machine_without_a_gpu_lacks_something_and_works() {
        let tick = gpu();
        assert_ne!(tick.state, State::Broken);
        assert!(tick.state == State::Works || !tick.hint.is_empty(), "{tick}");
    }
}
