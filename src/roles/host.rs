//! The name of this host among the places where vaults are mounted.

use std::fs;

use anyhow::Context;

use crate::config::Config;

/// The name under which this host's mounts are kept: the machine's own at the first start, and the same ever after.
///
/// A laptop's name changes with the network it is in (`mac.local`, `mac-2.fritz.box`); its vaults stay where they are. The name is kept in
/// `data_dir/host`.
///
/// # Errors
/// When the data directory cannot be written.
pub(super) fn host_name(config: &Config) -> anyhow::Result<String> {
    let path = config.data_dir.join("host");
    let name = find_host_name(config);
    if !path.exists() {
        fs::create_dir_all(&config.data_dir)
            .and_then(|()| fs::write(&path, format!("{name}\n")))
            .with_context(|| format!("while keeping this host's name in `{}`", path.display()))?;
    }
    Ok(name)
}

/// The same for those who only look: nothing is written.
pub(super) fn find_host_name(config: &Config) -> String {
    let kept = fs::read_to_string(config.data_dir.join("host")).unwrap_or_default();
    if kept.trim().is_empty() { rustix::system::uname().nodename().to_string_lossy().into_owned() } else { kept.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_first_start_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(&dir.path().join("data"));
        let first = host_name(&config).unwrap();
        assert!(!first.is_empty());
        fs::write(dir.path().join("data/host"), "the-name-before\n").unwrap();
        assert_eq!(host_name(&config).unwrap(), "the-name-before");
    }
}
