//! What a library needs: PostgreSQL and its extensions, Redis, the vaults, and the programs that read metadata and videos.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Tick, folder, queue};
use crate::{
    config::Config,
    db::{
        Db, DbError, PgConnection, health, vaults,
        vectors::{self, Vectors},
    },
    media::meta::exiv2,
    roles::host::find_host_name,
    services::{ClientPrograms, PostgresPrograms, RedisProgram, Services, ServicesError},
};

/// How long exiv2 may take to start and read one small picture.
const EXIV2_PATIENCE: Duration = Duration::from_secs(20);

/// All that is asked.
pub(super) fn ticks(config: &Config) -> Vec<Tick> {
    let mut ticks = vec![
        folder("data directory", &config.data_dir, "choose another with --data-dir or HM_DATA_DIR"),
        folder("thumbnails", &config.thumbs.dir, "choose another with thumbs.dir (HM_THUMBS_DIR)"),
        folder("backups", &config.backup.dir, "choose another with backup.dir (HM_BACKUP_DIR)"),
    ];
    if config.database.url.is_empty() {
        ticks.extend(postgres_programs(PostgresPrograms::find(&config.database)));
    }
    if config.redis.url.is_empty() {
        ticks.push(redis_program(RedisProgram::find(&config.redis)));
    }
    ticks.extend(services(config));
    ticks.extend([metadata_reader(exiv2::probe), video_program("ffmpeg"), video_program("ffprobe")]);
    ticks
}

fn postgres_programs(found: Result<PostgresPrograms, ServicesError>) -> Vec<Tick> {
    let programs = match found {
        Ok(programs) => programs,
        Err(error) => return vec![Tick::of_error("PostgreSQL", error)],
    };
    let place = format!("{} in `{}`", programs.version, programs.bin_dir.display());
    if !programs.has_ltree {
        let hint = format!("install its contrib extensions: `apt install postgresql-{}` brings them", programs.major);
        return vec![Tick::broken("PostgreSQL", format!("{place}, without the extension `ltree`"), hint)];
    }
    vec![Tick::works("PostgreSQL", place)]
}

fn redis_program(found: Result<RedisProgram, ServicesError>) -> Tick {
    match found {
        Ok(program) => Tick::works("Redis", format!("{} at `{}`", program.version, program.path.display())),
        Err(error) => Tick::of_error("Redis", error),
    }
}

/// Opens both services and asks them what only they can tell.
fn services(config: &Config) -> Vec<Tick> {
    let services = match Services::open(config) {
        Ok(services) => services,
        Err(error) => return vec![Tick::of_error("services", error)],
    };
    let mut ticks = match Db::connect(services.database_url(), 1).and_then(|db| db.get()) {
        Ok(mut conn) => {
            database(&mut conn, config).unwrap_or_else(|error| vec![Tick::broken("database", error, "see the log of the database server")])
        }
        Err(error) => {
            vec![Tick::broken("database", error, "correct database.url (HM_DATABASE_URL), or leave it empty for a private server")]
        }
    };
    ticks.push(queue(services.redis_url()));
    ticks
}

fn database(conn: &mut PgConnection, config: &Config) -> Result<Vec<Tick>, DbError> {
    let version = health::server_version(conn)?;
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    let mut ticks = vec![Tick::works("database", format!("PostgreSQL {version} answers"))];
    ticks.push(backup_programs(ClientPrograms::find(&config.database, major)));
    if !health::has_extension(conn, "ltree")? {
        let hint = "install PostgreSQL's contrib extensions on its machine";
        ticks.push(Tick::broken("database", "the server has no extension `ltree`", hint));
    }
    ticks.push(pgvector(&vectors::find_vectors(conn)?));
    match health::pending_migrations(conn)? {
        0 => {
            ticks.push(Tick::works("tables", "up to date"));
            ticks.extend(mounted_vaults(conn, &find_host_name(config))?);
        }
        waiting => {
            let found = format!("{waiting} migration(s) wait");
            ticks.push(Tick::lacks("tables", found, "the next `hm serve` or `hm scan` brings them up to date by itself"));
        }
    }
    Ok(ticks)
}

/// The extension without which nothing is found by words: hm runs, and lacks something.
fn pgvector(vectors: &Vectors) -> Tick {
    match vectors.problem() {
        None => Tick::works("pgvector", "is there for searching by words"),
        Some(text) => {
            let (found, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            Tick::lacks("pgvector", format!("{found}: nothing is found by words"), hint)
        }
    }
}

/// The programs without which nothing is backed up: hm runs, and lacks something.
fn backup_programs(found: Result<ClientPrograms, ServicesError>) -> Tick {
    match found {
        Ok(programs) => Tick::works("pg_dump", format!("{} in `{}`", programs.version, programs.bin_dir.display())),
        Err(error) => {
            let text = error.to_string();
            let (found, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            Tick::lacks("pg_dump", format!("{found}: no backups can be made"), hint)
        }
    }
}

fn mounted_vaults(conn: &mut PgConnection, host: &str) -> Result<Vec<Tick>, DbError> {
    let mounted = vaults::list_mounted_vaults(conn, host)?;
    let tick = |vault: &vaults::MountedVault| {
        let place = format!("{} at `{}`", vault.name, vault.mount.display());
        match std::fs::read_dir(&vault.mount).map(|mut entries| entries.next().is_some()) {
            Ok(true) => Tick::works("vault", place),
            Ok(false) => Tick::lacks("vault", format!("{place} is empty"), "mount the disk; until then its pictures are shown as offline"),
            Err(error) => {
                let hint = "mount the disk, or let hm read it; until then its pictures are shown as offline";
                Tick::lacks("vault", format!("{place} cannot be read: {error}"), hint)
            }
        }
    };
    Ok(mounted.iter().map(tick).collect())
}

/// exiv2, in the child process that a scan would start: it is asked to read, and which version it is.
fn metadata_reader(probe: impl FnOnce(PathBuf, Duration) -> Result<String, String>) -> Tick {
    let asked = std::env::current_exe().map_err(|error| error.to_string()).and_then(|program| probe(program, EXIV2_PATIENCE));
    match asked {
        Ok(libraries) if libraries.is_empty() => Tick::works("exiv2", "reads"),
        Ok(libraries) => Tick::works("exiv2", libraries),
        Err(error) => {
            let hint =
                "lens names of makers' notes and CRW files need it: `apt install --reinstall libgexiv2-2` or `brew reinstall gexiv2`";
            Tick::lacks("exiv2", format!("does not read: {error}"), hint)
        }
    }
}

/// A program without which a video has no poster frame.
fn video_program(name: &'static str) -> Tick {
    let output = Command::new(name).arg("-version").stdin(Stdio::null()).output();
    match output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout)) {
        Ok(text) if text.starts_with(name) => Tick::works(name, text.split_whitespace().nth(2).unwrap_or("is there")),
        _ => Tick::lacks(name, "is not installed: videos are listed without a picture", "`apt install ffmpeg` or `brew install ffmpeg`"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_postgres_without_ltree_is_broken_and_one_without_vector_is_not() {
        let mut programs =
            PostgresPrograms { bin_dir: "/x".into(), major: 16, version: "16.3".to_owned(), has_ltree: true, has_vector: false };
        assert_eq!(postgres_programs(Ok(programs.clone()))[0].state, State::Works);
        programs.has_ltree = false;
        assert_eq!(postgres_programs(Ok(programs))[0].state, State::Broken);
    }

    #[test]
    fn without_the_programs_of_backups_hm_runs_and_lacks_something() {
        let error = ServicesError::Program { problem: "they are not installed".to_owned(), hint: "install them".to_owned() };
        let tick = backup_programs(Err(error));
        assert_eq!((tick.state, tick.hint.as_str()), (State::Lacks, "install them"));
        assert!(tick.found.ends_with("no backups can be made"), "{tick}");
    }

    #[test]
    fn without_pgvector_hm_runs_and_lacks_something() {
        assert_eq!(pgvector(&Vectors::Ready).state, State::Works);
        for vectors in [Vectors::Missing, Vectors::TooOld("0.6.0".to_owned()), Vectors::Unused] {
            let tick = pgvector(&vectors);
            assert_eq!(tick.state, State::Lacks);
            assert!(tick.found.ends_with("nothing is found by words") && !tick.hint.is_empty(), "{tick}");
        }
    }

    #[test]
    fn an_exiv2_that_does_not_read_is_a_lack() {
        let tick = metadata_reader(|_, _| Err("the reading process died".to_owned()));
        assert_eq!((tick.state, tick.found.as_str()), (State::Lacks, "does not read: the reading process died"));
        assert_eq!(metadata_reader(|_, _| Ok("libexiv2.so.0.27.6".to_owned())).to_string(), "✓ exiv2            libexiv2.so.0.27.6");
    }

    #[test]
    fn a_missing_program_is_only_a_lack() {
        let tick = video_program("hm-has-no-such-program");
        assert_eq!(tick.state, State::Lacks);
        assert!(!tick.hint.is_empty());
    }
}
