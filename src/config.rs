//! Settings in parts: `config/default.toml` < a local file < `HM_*` < flags. Checked once, before any role starts.

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chrono::NaiveTime;
use serde::Deserialize;

use crate::models::edit::SidecarNaming;

/// The manual, which is also the defaults.
const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// A setting that cannot be used; the message names the key, where it came from and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key or type that does not exist.
    #[error("configuration from {origin}: {message}\nhint: every key and its form is in config/default.toml (`hm config`)")]
    Parse {
        /// File or environment variable.
        origin: String,
        /// What the parser said.
        message: String,
    },
    /// The value has the right type and makes no sense.
    #[error("configuration `{key}` = `{value}`: expected {expected} (environment: {variable})")]
    Value {
        /// The key, with dots.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
        /// The environment variable of the key.
        variable: String,
    },
}

/// All settings of one process.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where hm keeps what is its own; after [`Config::load`] never empty and absolute.
    pub data_dir: PathBuf,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// The web server.
    pub web: WebConfig,
    /// The scanner.
    pub scan: ScanConfig,
    /// Thumbnails and proxies.
    pub thumbs: ThumbsConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// The map.
    pub map: MapConfig,
    /// Imported networks.
    pub models: ModelsConfig,
    /// Running them.
    pub work: WorkConfig,
    /// Logs.
    pub log: LogConfig,
    /// Vaults with a fixed place on this host.
    #[serde(default)]
    pub vaults: BTreeMap<String, VaultConfig>,
}

/// `[database]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// External server, or empty for the embedded one.
    pub url: Secret,
    /// Connections held by one process.
    pub pool_size: u32,
    /// Folder of `postgres` and `initdb`, or empty.
    pub bin_dir: PathBuf,
}

/// `[redis]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// External server, or empty for the embedded one.
    pub url: Secret,
    /// The program, or empty.
    pub bin: PathBuf,
}

/// `[web]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port.
    pub bind: SocketAddr,
    /// Threads that answer requests; 0 = by the machine.
    pub workers: usize,
    /// Further names by which browsers call this server, between commas.
    pub hosts: String,
}

impl WebConfig {
    /// Further names by which browsers call this server.
    pub fn host_names(&self) -> Vec<String> {
        self.hosts.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

/// `[scan]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanConfig {
    /// Folders read at the same time; 0 = by the machine.
    pub threads: usize,
    /// Metadata child processes; 0 = by the machine.
    pub metadata_workers: usize,
    /// Patience with one file, in seconds.
    pub metadata_timeout_s: u64,
    /// Files a transaction.
    pub batch_size: usize,
    /// Minutes between scans of `hm serve`; 0 = none.
    pub every_minutes: u64,
}

/// `[thumbs]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThumbsConfig {
    /// Where they go; after [`Config::load`] never empty.
    pub dir: PathBuf,
    /// Pictures decoded at the same time; 0 = by the machine.
    pub workers: usize,
    /// Longest side in the grid, in pixels.
    pub thumbnail_px: u32,
    /// Longest side in the viewer, in pixels.
    pub proxy_px: u32,
    /// Patience with one picture, in seconds.
    pub timeout_s: u64,
    /// Address space of one decoding child, in MiB.
    pub memory_mib: u64,
    /// Largest picture decoded, in millions of pixels.
    pub max_megapixels: u64,
    /// Whether pictures that no image names any more are removed.
    pub sweep: bool,
}

/// `[backup]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupConfig {
    /// Where they go; after [`Config::load`] never empty.
    pub dir: PathBuf,
    /// When `hm serve` makes one every day, in local time.
    pub at: TimeOfDay,
    /// Nightly ones kept.
    pub keep: usize,
    /// Whether the nightly ones hold thumbnails and proxies too.
    pub thumbnails: bool,
}

/// A time of day such as `03:15`, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay(pub Option<NaiveTime>);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let time = NaiveTime::parse_from_str(&text, "%H:%M");
        time.map(|time| Self(Some(time))).map_err(|_| format!("`{text}` is no time of day: expected one such as 03:15, or nothing"))
    }
}

/// `[map]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapConfig {
    /// Address of tiles with `{z}`, `{x}` and `{y}` in it, or empty for the built-in coastlines.
    pub tile_url: String,
    /// Whose tiles they are.
    pub tile_attribution: String,
}

impl MapConfig {
    /// The scheme, host and port of the tiles; `None` where there are none, or they come from this server itself.
    pub fn tile_origin(&self) -> Option<String> {
        let (scheme, rest) = self.tile_url.split_once("://")?;
        let host = rest.split('/').next().filter(|host| !host.is_empty())?;
        Some(format!("{scheme}://{host}"))
    }

    /// Whether the address is one of tiles, and its host can stand in a header.
    fn is_usable(&self) -> bool {
        let is_plain =
            |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'));
        let has_parts = ["{z}", "{x}", "{y}"].iter().all(|part| self.tile_url.contains(part));
        let origin = self.tile_origin();
        let host = origin.as_deref().and_then(|origin| origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")));
        self.tile_url.is_empty() || (has_parts && host.is_some_and(is_plain))
    }
}

/// `[models]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// Where they lie; after [`Config::load`] never empty.
    pub dir: PathBuf,
    /// Name of the one that makes vectors of pictures and words, or empty.
    pub embed: String,
    /// Name of the one that finds objects, or empty.
    pub detect: String,
    /// Name of the one that cuts out what is pointed at, or empty.
    pub segment: String,
}

impl ModelsConfig {
    /// Whether a command without any setting, typed by the same user, means the same folder.
    pub fn is_usual_dir(&self) -> bool {
        self.dir == default_data_dir().join("models")
    }
}

/// `[work]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkConfig {
    /// Whether `hm serve` starts a worker.
    pub local: bool,
    /// Threads without a GPU; 0 = by the machine.
    pub threads: usize,
    /// Pictures at a time; 0 = by the device.
    pub batch_size: usize,
    /// Where vaults of the library that invited this machine are mounted here, by their names there; after [`Config::load`] absolute.
    #[serde(default)]
    pub vaults: BTreeMap<String, PathBuf>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Level or filter.
    pub level: String,
    /// Shape of a line.
    pub format: LogFormat,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// `[vaults.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// Where this host mounts it.
    pub path: PathBuf,
    /// Whether this host writes what people change into the vault's sidecars.
    #[serde(default)]
    pub write_back: bool,
    /// How a new sidecar is named.
    #[serde(default)]
    pub sidecar_names: SidecarNaming,
}

/// Text that never reaches a log.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself; call it where the text is used, not before.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(empty)" } else { "Secret(…)" })
    }
}

impl Config {
    /// The text of `config/default.toml`.
    pub fn manual() -> &'static str {
        DEFAULT_TOML
    }

    /// Reads all layers under the flags. `file` is from `--config`; without it `HM_CONFIG`, then `config/local.toml` if it exists.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or variable and the key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let variables = env::vars().filter(|(name, _)| name.starts_with("HM_"));
        let named = file.map(Path::to_path_buf).or_else(|| env::var_os("HM_CONFIG").map(PathBuf::from));
        let local = named.or_else(|| Some(PathBuf::from("config/local.toml")).filter(|path| path.is_file()));
        Self::from_layers(local.as_deref(), variables)
    }

    fn from_layers(file: Option<&Path>, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut table = parse("config/default.toml", DEFAULT_TOML)?;
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            let origin = format!("`{}`", path.display());
            let local = parse(&origin, &text)?;
            merge(&mut table, local);
            from_table(&origin, table.clone())?;
        }
        for (variable, value) in variables {
            set_from_variable(&mut table, &variable, &value)?;
        }
        from_table("the environment", table)?.checked()
    }

    /// Uses another data directory, and moves thumbnails, backups and networks along unless they have a place of their own.
    pub fn move_data_dir(&mut self, dir: &Path) {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        if self.thumbs.dir == self.data_dir.join("thumbs") {
            self.thumbs.dir = dir.join("thumbs");
        }
        if self.backup.dir == self.data_dir.join("backups") {
            self.backup.dir = dir.join("backups");
        }
        if self.models.dir == self.data_dir.join("models") {
            self.models.dir = dir.join("models");
        }
        self.data_dir = dir;
    }

    fn checked(mut self) -> Result<Self, ConfigError> {
        let positive = [
            ("database.pool_size", u64::from(self.database.pool_size)),
            ("scan.metadata_timeout_s", self.scan.metadata_timeout_s),
            ("scan.batch_size", self.scan.batch_size as u64),
            ("thumbs.thumbnail_px", u64::from(self.thumbs.thumbnail_px)),
            ("thumbs.proxy_px", u64::from(self.thumbs.proxy_px)),
            ("thumbs.timeout_s", self.thumbs.timeout_s),
            ("thumbs.memory_mib", self.thumbs.memory_mib),
            ("thumbs.max_megapixels", self.thumbs.max_megapixels),
            ("backup.keep", self.backup.keep as u64),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Value { key, value: "0".into(), expected: "a number above 0", variable: variable_of(key) });
        }
        if !self.map.is_usable() {
            let (key, expected) = ("map.tile_url", "nothing, or https://HOST/… with {z}, {x} and {y} in it");
            return Err(ConfigError::Value { key, value: self.map.tile_url, expected, variable: variable_of(key) });
        }
        for (name, folder) in &mut self.work.vaults {
            if folder.as_os_str().is_empty() {
                let (key, expected) = ("work.vaults", "the folder where the vault is mounted");
                return Err(ConfigError::Value { key, value: format!("{name} = \"\""), expected, variable: "none".into() });
            }
            *folder = std::path::absolute(&*folder).unwrap_or_else(|_| folder.clone());
        }
        if self.data_dir.as_os_str().is_empty() {
            self.data_dir = default_data_dir();
        }
        self.data_dir = std::path::absolute(&self.data_dir).unwrap_or(self.data_dir);
        if self.thumbs.dir.as_os_str().is_empty() {
            self.thumbs.dir = self.data_dir.join("thumbs");
        }
        if self.backup.dir.as_os_str().is_empty() {
            self.backup.dir = self.data_dir.join("backups");
        }
        self.backup.dir = std::path::absolute(&self.backup.dir).unwrap_or(self.backup.dir);
        if self.models.dir.as_os_str().is_empty() {
            self.models.dir = self.data_dir.join("models");
        }
        self.models.dir = std::path::absolute(&self.models.dir).unwrap_or(self.models.dir);
        Ok(self)
    }
}

fn variable_of(key: &str) -> String {
    format!("HM_{}", key.replace('.', "_").to_uppercase())
}

fn parse(origin: &str, text: &str) -> Result<toml::Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::Parse { origin: origin.to_owned(), message: error.to_string() })
}

fn from_table(origin: &str, table: toml::Table) -> Result<Config, ConfigError> {
    toml::Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Parse { origin: origin.to_owned(), message: error.to_string() })
}

fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => merge(inner, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Finds the key of an `HM_` variable among the keys there are, and gives the value that key's type.
fn set_from_variable(table: &mut toml::Table, variable: &str, value: &str) -> Result<(), ConfigError> {
    let bad = |expected: &str| ConfigError::Parse { origin: format!("`{variable}`"), message: format!("`{value}` is not {expected}") };
    for (key, slot) in table.iter_mut() {
        let found = match slot {
            toml::Value::Table(section) => {
                section.iter_mut().find(|(name, _)| variable_of(&format!("{key}.{name}")) == variable).map(|(_, slot)| slot)
            }
            slot => Some(slot).filter(|_| variable_of(key) == variable),
        };
        let Some(slot) = found else { continue };
        *slot = match slot {
            toml::Value::Integer(_) => toml::Value::Integer(value.parse().map_err(|_| bad("a whole number"))?),
            toml::Value::Boolean(_) => toml::Value::Boolean(value.parse().map_err(|_| bad("`true` or `false`"))?),
            _ => toml::Value::String(value.to_owned()),
        };
    }
    Ok(())
}

fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/hm");
    }
    let home = env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    if cfg!(target_os = "macos") {
        return home.join("Library/Application Support/hm");
    }
    env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from).join("hm")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_layers(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_manual_parses_and_names_the_variable_of_every_key() {
        with(&[]).unwrap();
        let table = parse("default", DEFAULT_TOML).unwrap();
        for (section, value) in &table {
            let keys: Vec<String> = match value {
                toml::Value::Table(inner) => inner.keys().map(|key| format!("{section}.{key}")).collect(),
                _ => vec![section.clone()],
            };
            for key in keys {
                assert!(DEFAULT_TOML.contains(&format!("# {}\n", variable_of(&key))), "no line names {}", variable_of(&key));
            }
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("local.toml");
        std::fs::write(&path, "[web]\nworkers = 3\nbind = \"127.0.0.1:1\"\n[vaults.nas]\npath = \"/mnt/nas\"\n").unwrap();
        let config = Config::from_layers(Some(&path), [("HM_WEB_WORKERS".to_owned(), "5".to_owned())]).unwrap();
        assert_eq!((config.web.workers, config.web.bind.port()), (5, 1));
        assert_eq!(config.vaults["nas"].path, Path::new("/mnt/nas"));
        assert_eq!((config.vaults["nas"].write_back, config.vaults["nas"].sidecar_names), (false, SidecarNaming::WholeName));
    }

    #[test]
    fn the_manuals_example_of_a_vault_is_one() {
        let example: String =
            DEFAULT_TOML.lines().skip_while(|line| *line != "# [vaults.photos]").map(|line| format!("{}\n", &line[2..])).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("local.toml");
        std::fs::write(&path, example).unwrap();
        let config = Config::from_layers(Some(&path), []).unwrap();
        let expected = VaultConfig { path: "/Volumes/Photos".into(), write_back: false, sidecar_names: SidecarNaming::WholeName };
        assert_eq!(config.vaults["photos"], expected);
        std::fs::write(&path, "[vaults.nas]\npath = \"/n\"\nwrite_back = true\nsidecar_names = \"IMG.xmp\"\n").unwrap();
        let config = Config::from_layers(Some(&path), []).unwrap();
        assert_eq!((config.vaults["nas"].write_back, config.vaults["nas"].sidecar_names), (true, SidecarNaming::Stem));
        std::fs::write(&path, "[vaults.nas]\npath = \"/n\"\nsidecar_names = \"xmp\"\n").unwrap();
        let error = Config::from_layers(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("sidecar_names") && error.contains("IMG.CR2.xmp"), "{error}");
    }

    #[test]
    fn the_manuals_example_of_a_workers_vaults_is_one() {
        let example = DEFAULT_TOML.lines().skip_while(|line| *line != "# [work.vaults]").take_while(|line| line.starts_with("# "));
        let example: String = example.map(|line| format!("{}\n", &line[2..])).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("local.toml");
        std::fs::write(&path, example).unwrap();
        let config = Config::from_layers(Some(&path), []).unwrap();
        let expected = BTreeMap::from([("photos".to_owned(), PathBuf::from("/mnt/nas/Photos"))]);
        assert_eq!((config.work.vaults, config.vaults.len()), (expected, 0));
        std::fs::write(&path, "[work.vaults]\nphotos = \"mnt\"\n").unwrap();
        assert!(Config::from_layers(Some(&path), []).unwrap().work.vaults["photos"].is_absolute());
        std::fs::write(&path, "[work.vaults]\nphotos = \"\"\n").unwrap();
        let error = Config::from_layers(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("work.vaults") && error.contains("photos"), "{error}");
    }

    #[test]
    fn a_bad_setting_names_its_key_and_where_it_came_from() {
        let error = with(&[("HM_WEB_WORKERS", "many")]).unwrap_err().to_string();
        assert!(error.contains("HM_WEB_WORKERS") && error.contains("whole number"), "{error}");
        let error = with(&[("HM_BACKUP_AT", "noon")]).unwrap_err().to_string();
        assert!(error.contains("`noon`") && error.contains("03:15") && error.contains("backup.at"), "{error}");
        assert_eq!(with(&[("HM_BACKUP_AT", "")]).unwrap().backup.at, TimeOfDay(None));
        let error = with(&[("HM_SCAN_BATCH_SIZE", "0")]).unwrap_err().to_string();
        assert!(error.contains("scan.batch_size"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("local.toml");
        std::fs::write(&path, "[web]\nport = 3\n").unwrap();
        let error = Config::from_layers(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("local.toml") && error.contains("port"), "{error}");
    }

    #[test]
    fn tiles_come_from_an_address_with_places_in_it() {
        let config = with(&[("HM_MAP_TILE_URL", "https://tiles.example:8443/a/{z}/{x}/{y}.png")]).unwrap();
        assert_eq!(config.map.tile_origin().as_deref(), Some("https://tiles.example:8443"));
        assert_eq!(with(&[]).unwrap().map.tile_origin(), None);
        for bad in [
            "tiles.example/{z}/{x}/{y}",
            "https://tiles.example/{z}/{x}",
            "https://a;b/{z}/{x}/{y}",
            "javascript://h/{z}{x}{y}",
            "https:///{z}{x}{y}",
        ] {
            let error = with(&[("HM_MAP_TILE_URL", bad)]).unwrap_err().to_string();
            assert!(error.contains("map.tile_url") && error.contains("{z}"), "{error}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let config = with(&[("HM_DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
