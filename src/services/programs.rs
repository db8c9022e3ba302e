//! Finds PostgreSQL and Redis on this machine, and says how to install them where they are missing.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::ServicesError;
use crate::config::{DatabaseConfig, RedisConfig};

/// The oldest PostgreSQL that hm is meant for.
const OLDEST_POSTGRES: u32 = 14;

/// Folders with one PostgreSQL each: the part before the version, after it, and below it. Linux distributions, then Homebrew.
const POSTGRES_HOMES: &[(&str, &str)] = &[
    ("/usr/lib/postgresql/", "bin"),
    ("/usr/pgsql-", "bin"),
    ("/opt/homebrew/opt/postgresql@", "bin"),
    ("/usr/local/opt/postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt/postgresql@", "bin"),
];

/// The programs of one PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresPrograms {
    /// Folder of `postgres` and `initdb`.
    pub bin_dir: PathBuf,
    /// Major version.
    pub major: u32,
    /// Version as it says it, such as `15.20`.
    pub version: String,
    /// Whether the extension `ltree`, which hm needs, lies beside it.
    pub has_ltree: bool,
    /// Whether the extension `vector` lies beside it, which searching by words needs.
    pub has_vector: bool,
}

impl PostgresPrograms {
    /// The best one: that of `database.bin_dir` if it is set; else the newest, those with `vector` first.
    ///
    /// # Errors
    /// [`ServicesError::Program`] when there is none that is new enough.
    pub fn find(config: &DatabaseConfig) -> Result<Self, ServicesError> {
        let found = Self::installed(config);
        let best = found.iter().filter(|one| one.major >= OLDEST_POSTGRES).max_by_key(|one| (one.has_vector, one.major));
        best.cloned().ok_or_else(|| match found.first() {
            Some(old) => ServicesError::Program {
                problem: format!("PostgreSQL {} in `{}` is too old", old.version, old.bin_dir.display()),
                hint: format!("install PostgreSQL {OLDEST_POSTGRES} or newer"),
            },
            None if config.bin_dir.as_os_str().is_empty() => ServicesError::Program {
                problem: "PostgreSQL is not installed: found no `postgres` with `initdb` beside it".to_owned(),
                hint: format!("{}, or set database.url (HM_DATABASE_URL) to a server of your own", install("postgresql", "postgresql@17")),
            },
            None => ServicesError::Program {
                problem: format!("there are no `postgres` and `initdb` that run in `{}`", config.bin_dir.display()),
                hint: "correct database.bin_dir (HM_DATABASE_BIN_DIR), or leave it empty".to_owned(),
            },
        })
    }

    /// The one that can serve the cluster at `path`; the best one where there is no cluster yet.
    ///
    /// # Errors
    /// [`ServicesError::WrongMajor`] when that version is not installed: a cluster belongs to the major version that made it.
    pub(super) fn for_cluster(config: &DatabaseConfig, path: &Path) -> Result<Self, ServicesError> {
        let best = Self::find(config)?;
        let Some(wanted) = fs::read_to_string(path.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok()) else {
            return Ok(best);
        };
        let installed = Self::installed(config);
        if let Some(same) = installed.iter().find(|one| one.major == wanted) {
            return Ok(same.clone());
        }
        let majors: Vec<String> = installed.iter().map(|one| one.major.to_string()).collect();
        let how = install(&format!("postgresql-{wanted}"), &format!("postgresql@{wanted}"));
        Err(ServicesError::WrongMajor {
            path: path.to_owned(),
            wanted,
            found: format!("only {} is installed", majors.join(", ")),
            hint: format!("{how}, or name its folder in database.bin_dir (HM_DATABASE_BIN_DIR)"),
        })
    }

    fn installed(config: &DatabaseConfig) -> Vec<Self> {
        if !config.bin_dir.as_os_str().is_empty() {
            return Self::at(&config.bin_dir).into_iter().collect();
        }
        let homes = POSTGRES_HOMES.iter().flat_map(|(start, end)| matching(start).into_iter().map(move |home| home.join(end)));
        let mut found: Vec<Self> = Vec::new();
        for one in homes.chain(path_folders()).filter_map(|dir| Self::at(&dir)) {
            if !found.iter().any(|known| known.bin_dir == one.bin_dir) {
                found.push(one);
            }
        }
        found
    }

    fn at(dir: &Path) -> Option<Self> {
        let real = fs::canonicalize(dir.join("postgres")).ok()?;
        let bin_dir = real.parent()?.to_owned();
        if !bin_dir.join("initdb").is_file() {
            return None;
        }
        let version = version_of(&real)?;
        let major = version.split('.').next()?.parse().ok()?;
        let has = |extension: &str| extension_folders(&bin_dir, major).iter().any(|dir| dir.join(format!("{extension}.control")).is_file());
        Some(Self { has_ltree: has("ltree"), has_vector: has("vector"), bin_dir, major, version })
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.bin_dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.bin_dir.join("initdb")
    }
}

/// Where the programs that only speak to a server may lie beside those of a server: Homebrew's libpq.
const CLIENT_HOMES: &[&str] = &["/opt/homebrew/opt/libpq/bin", "/usr/local/opt/libpq/bin", "/home/linuxbrew/.linuxbrew/opt/libpq/bin"];

/// The programs that dump a database and bring it back; they need no server beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPrograms {
    /// Folder of `pg_dump`, `pg_restore` and `psql`.
    pub bin_dir: PathBuf,
    /// Major version.
    pub major: u32,
    /// Version as `pg_dump` says it.
    pub version: String,
}

impl ClientPrograms {
    /// Those of the server's own major version, or the next newer ones: they refuse a server that is newer than themselves.
    ///
    /// # Errors
    /// [`ServicesError::Program`] when there are none that are new enough.
    pub fn find(config: &DatabaseConfig, server_major: u32) -> Result<Self, ServicesError> {
        let homes = POSTGRES_HOMES.iter().flat_map(|(start, end)| matching(start).into_iter().map(move |home| home.join(end)));
        let usual = homes.chain(CLIENT_HOMES.iter().map(PathBuf::from)).chain(path_folders());
        let own = Some(config.bin_dir.clone()).filter(|dir| !dir.as_os_str().is_empty());
        let found: Vec<Self> = own.into_iter().chain(usual).filter_map(|dir| Self::at(&dir)).collect();
        // The first of equals: the folder that the settings name.
        if let Some(best) = found.iter().filter(|one| one.major >= server_major).min_by_key(|one| one.major) {
            return Ok(best.clone());
        }
        let problem = match found.iter().max_by_key(|one| one.major) {
            Some(old) => {
                format!("`pg_dump` {} in `{}` is older than the server, PostgreSQL {server_major}", old.version, old.bin_dir.display())
            }
            None => "the programs `pg_dump`, `pg_restore` and `psql` are not installed".to_owned(),
        };
        let how = install(&format!("postgresql-client-{server_major}"), &format!("postgresql@{server_major}"));
        Err(ServicesError::Program { problem, hint: format!("{how}, or name their folder in database.bin_dir (HM_DATABASE_BIN_DIR)") })
    }

    fn at(dir: &Path) -> Option<Self> {
        let real = fs::canonicalize(dir.join("pg_dump")).ok()?;
        let bin_dir = real.parent()?.to_owned();
        if !["pg_restore", "psql"].iter().all(|name| bin_dir.join(name).is_file()) {
            return None;
        }
        let version = version_of(&real)?;
        let major = version.split('.').next()?.parse().ok()?;
        Some(Self { bin_dir, major, version })
    }

    /// Writes a database into a file.
    pub fn pg_dump(&self) -> PathBuf {
        self.bin_dir.join("pg_dump")
    }

    /// Reads such a file.
    pub fn pg_restore(&self) -> PathBuf {
        self.bin_dir.join("pg_restore")
    }

    /// Runs commands in a database.
    pub fn psql(&self) -> PathBuf {
        self.bin_dir.join("psql")
    }
}

/// Where the extensions of a PostgreSQL may lie, seen from its programs: Debian and a copied tree, a build of one's own, Homebrew.
fn extension_folders(bin_dir: &Path, major: u32) -> Vec<PathBuf> {
    let up = |levels: usize| bin_dir.ancestors().nth(levels).map(Path::to_owned).unwrap_or_default();
    vec![
        up(4).join(format!("share/postgresql/{major}/extension")),
        up(1).join("share/extension"),
        up(1).join("share/postgresql/extension"),
        up(1).join(format!("share/postgresql@{major}/extension")),
        up(4).join(format!("share/postgresql@{major}/extension")),
        PathBuf::from(format!("/opt/homebrew/share/postgresql@{major}/extension")),
        PathBuf::from(format!("/usr/local/share/postgresql@{major}/extension")),
    ]
}

/// A Redis server program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisProgram {
    /// The program.
    pub path: PathBuf,
    /// Version as it says it, such as `7.0.15`.
    pub version: String,
}

impl RedisProgram {
    /// `redis.bin` if it is set; else `redis-server`, or `valkey-server`, on the path or where Homebrew puts it.
    ///
    /// # Errors
    /// [`ServicesError::Program`] when there is none.
    pub fn find(config: &RedisConfig) -> Result<Self, ServicesError> {
        let named = |path: &Path| version_of(path).map(|version| Self { path: path.to_owned(), version });
        if !config.bin.as_os_str().is_empty() {
            return named(&config.bin).ok_or_else(|| ServicesError::Program {
                problem: format!("`{}` is no Redis that runs", config.bin.display()),
                hint: "correct redis.bin (HM_REDIS_BIN), or leave it empty".to_owned(),
            });
        }
        let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
        let folders: Vec<PathBuf> = path_folders().into_iter().chain(usual).collect();
        let names = ["redis-server", "valkey-server"];
        let mut candidates = names.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
        candidates.find_map(|path| named(&path)).ok_or_else(|| ServicesError::Program {
            problem: "Redis is not installed: found no `redis-server`".to_owned(),
            hint: format!("{}, or set redis.url (HM_REDIS_URL) to a server of your own", install("redis-server", "redis")),
        })
    }
}

/// How to install a package here.
fn install(debian: &str, homebrew: &str) -> String {
    if cfg!(target_os = "macos") { format!("`brew install {homebrew}`") } else { format!("`apt install {debian}` (or your system's way)") }
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// The folders whose path is `start` and something more within the same part.
fn matching(start: &str) -> Vec<PathBuf> {
    let (folder, prefix) = start.rsplit_once('/').unwrap_or((".", start));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let mut found: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// What `PROGRAM --version` calls its version; none when it does not run.
fn version_of(program: &Path) -> Option<String> {
    if !program.is_file() {
        return None;
    }
    let output = Command::new(program).arg("--version").current_dir("/").stdin(Stdio::null()).output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The first word that starts like a version: `postgres (PostgreSQL) 15.20 (…)`, `Redis server v=7.0.15 sha=…`, `17rc1`.
fn parse_version(text: &str) -> Option<String> {
    let words = text.split([' ', '=', '\n']).filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
    let version = |word: &str| word.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect::<String>();
    words.map(version).next()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    /// A folder that looks like an installation.
    fn installation(root: &Path, major: u32, extensions: &[&str]) -> PathBuf {
        let bin = root.join(format!("lib/postgresql/{major}/bin"));
        let share = root.join(format!("share/postgresql/{major}/extension"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&share).unwrap();
        for program in ["postgres", "initdb", "pg_dump", "pg_restore", "psql"] {
            fs::write(bin.join(program), format!("#!/bin/sh\necho '{program} (PostgreSQL) {major}.3 (Debian)'\n")).unwrap();
            fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for extension in extensions {
            fs::write(share.join(format!("{extension}.control")), "").unwrap();
        }
        bin
    }

    fn config(bin_dir: PathBuf) -> DatabaseConfig {
        DatabaseConfig { url: String::new().into(), pool_size: 1, bin_dir }
    }

    #[test]
    fn versions_are_read_from_what_programs_print() {
        let version = |text| parse_version(text).unwrap();
        assert_eq!(version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), "15.20");
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n"), "18");
        assert_eq!(version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc\n"), "7.0.15");
        assert_eq!(parse_version("command not found"), None);
    }

    #[test]
    fn an_installation_tells_its_version_and_extensions() {
        let root = tempfile::tempdir().unwrap();
        let bin = installation(root.path(), 16, &["ltree"]);
        let found = PostgresPrograms::find(&config(bin)).unwrap();
        assert_eq!((found.major, found.version.as_str(), found.has_ltree, found.has_vector), (16, "16.3", true, false));
    }

    #[test]
    fn programs_older_than_the_server_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let bin = installation(root.path(), 90, &[]);
        let found = ClientPrograms::find(&config(bin.clone()), 90).unwrap();
        assert_eq!((found.major, found.pg_dump()), (90, bin.join("pg_dump")));
        let error = ClientPrograms::find(&config(bin), 91).unwrap_err().to_string();
        assert!(error.contains("90.3") && error.contains("PostgreSQL 91") && error.contains("postgresql-client-91"), "{error}");
    }

    #[test]
    fn a_cluster_of_a_version_that_is_not_installed_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let bin = installation(root.path(), 16, &[]);
        let cluster = root.path().join("cluster");
        fs::create_dir(&cluster).unwrap();
        fs::write(cluster.join("PG_VERSION"), "18\n").unwrap();
        let error = PostgresPrograms::for_cluster(&config(bin.clone()), &cluster).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 18") && error.contains("only 16") && error.contains("hint: "), "{error}");
        fs::write(cluster.join("PG_VERSION"), "16\n").unwrap();
        assert_eq!(PostgresPrograms::for_cluster(&config(bin), &cluster).unwrap().major, 16);
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let error = PostgresPrograms::find(&config(root.path().to_owned())).unwrap_err().to_string();
        assert!(error.contains("HM_DATABASE_BIN_DIR"), "{error}");
        let old = installation(root.path(), 12, &[]);
        let error = PostgresPrograms::find(&config(old)).unwrap_err().to_string();
        assert!(error.contains("12.3") && error.contains("too old"), "{error}");
        let mut redis = Config::load(None).unwrap().redis;
        redis.bin = root.path().join("none");
        assert!(RedisProgram::find(&redis).unwrap_err().to_string().contains("HM_REDIS_BIN"));
    }
}
