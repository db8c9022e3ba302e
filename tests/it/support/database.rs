//! A database for each test, cloned from a template that is migrated once for each state of `migrations/`.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Bool, Text},
};
use hm::db::Db;

/// One test at a time makes the template; the number is any that nobody else uses.
const TEMPLATE_LOCK: i64 = 0x686d_7465_7374;

/// A migrated, empty database that nobody else uses; dropped with the value.
pub(crate) struct TestDatabase {
    maintenance_url: String,
    name: String,
    url: String,
}

impl TestDatabase {
    /// Makes one.
    ///
    /// # Panics
    /// When `HM_TEST_DATABASE_URL` names no server on which databases may be made.
    pub(crate) fn new() -> Self {
        let (maintenance_url, mut conn) = maintenance();
        let template = migrated_template(&maintenance_url, &mut conn);
        Self::create(maintenance_url, &mut conn, &format!("TEMPLATE {template}"))
    }

    /// Makes one without any table.
    pub(crate) fn empty() -> Self {
        let (maintenance_url, mut conn) = maintenance();
        Self::create(maintenance_url, &mut conn, "")
    }

    fn create(maintenance_url: String, conn: &mut PgConnection, how: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("hm_test_{}_{}_{:08x}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed), rand::random::<u32>());
        conn.batch_execute(&format!("CREATE DATABASE {name} {how}")).expect("a database for the test can be created");
        let url = with_database(&maintenance_url, &name);
        Self { maintenance_url, name, url }
    }

    /// How to reach it; what `HM_DATABASE_URL` takes.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its name on the server.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A connection to it.
    pub(crate) fn connection(&self) -> PgConnection {
        PgConnection::establish(&self.url).expect("the test's database can be reached")
    }

    /// A small pool on it.
    pub(crate) fn pool(&self) -> Db {
        Db::connect(&self.url, 4).expect("the test's database can be reached")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropped = PgConnection::establish(&self.maintenance_url).map(|mut conn| conn.batch_execute(&drop));
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!("the test's database {} is left behind: {:?}", self.name, dropped.map(|result| result.err()).err());
        }
    }
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    exists: bool,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn maintenance() -> (String, PgConnection) {
    let url = std::env::var("HM_TEST_DATABASE_URL")
        .expect("HM_TEST_DATABASE_URL names no PostgreSQL on which a test may make databases; `make test` starts one and sets it");
    let conn = PgConnection::establish(&url).expect("HM_TEST_DATABASE_URL can be reached");
    (url, conn)
}

/// The name of a database with all migrations done, made under a lock and only once.
fn migrated_template(maintenance_url: &str, conn: &mut PgConnection) -> String {
    let (hash, migrations) = hash_of_migrations();
    let name = format!("hm_template_{hash}");
    sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(TEMPLATE_LOCK).execute(conn).expect("advisory locks work");
    let exists: Exists = sql_query("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS exists")
        .bind::<Text, _>(&name)
        .get_result(conn)
        .expect("pg_database can be read");
    if !exists.exists {
        let unfinished = format!("{name}_new");
        conn.batch_execute(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).expect("an unfinished template can go");
        conn.batch_execute(&format!("CREATE DATABASE {unfinished}")).expect("a template can be created");
        let url = with_database(maintenance_url, &unfinished);
        hm::db::migrate(&url).expect("the migrations run on an empty database");
        {
            let mut template = PgConnection::establish(&url).expect("the template can be reached");
            let done: Count =
                sql_query("SELECT count(*) AS count FROM __diesel_schema_migrations").get_result(&mut template).expect("it is migrated");
            assert_eq!(done.count, migrations, "the test binary holds other migrations than the folder: build it again");
        }
        rename_when_unused(conn, &unfinished, &name);
    }
    sql_query("SELECT pg_advisory_unlock($1)").bind::<BigInt, _>(TEMPLATE_LOCK).execute(conn).expect("advisory locks work");
    name
}

/// The backend of a connection that was just closed may take a moment to leave, and a database in use cannot be renamed.
fn rename_when_unused(conn: &mut PgConnection, from: &str, to: &str) {
    super::wait_until("the template is not in use", Duration::from_secs(10), || {
        conn.batch_execute(&format!("ALTER DATABASE {from} RENAME TO {to}")).is_ok()
    });
}

/// A hash over names and texts of all migrations, and how many there are.
fn hash_of_migrations() -> (String, i64) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut folders: Vec<_> = std::fs::read_dir(&root)
        .expect("the repository has migrations/")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.join("up.sql").is_file())
        .collect();
    folders.sort();
    let mut hasher = blake3::Hasher::new();
    for folder in &folders {
        hasher.update(folder.file_name().expect("it was listed").as_encoded_bytes());
        hasher.update(&std::fs::read(folder.join("up.sql")).expect("it was listed"));
    }
    (hasher.finalize().to_hex()[..12].to_owned(), folders.len() as i64)
}

/// The same server and user, another database.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a database URL has a scheme");
    let (address, options) = rest.split_once('?').map_or((rest, None), |(address, options)| (address, Some(options)));
    let host = address.split_once('/').map_or(address, |(host, _)| host);
    match options {
        Some(options) => format!("{scheme}://{host}/{name}?{options}"),
        None => format!("{scheme}://{host}/{name}"),
    }
}

#[test]
fn only_the_database_of_a_url_changes() {
    assert_eq!(with_database("postgres:///a?host=/s&user=hm", "b"), "postgres:///b?host=/s&user=hm");
    assert_eq!(with_database("postgres://u:p@h:5432/a", "b"), "postgres://u:p@h:5432/b");
    assert_eq!(with_database("postgres://h", "b"), "postgres://h/b");
}

#[test]
fn tests_do_not_see_each_other() {
    let (one, other) = (TestDatabase::new(), TestDatabase::new());
    one.connection().batch_execute("INSERT INTO vaults (name) VALUES ('mine')").unwrap();
    let seen: Count = sql_query("SELECT count(*) AS count FROM vaults").get_result(&mut other.connection()).unwrap();
    assert_eq!(seen.count, 0);
}
