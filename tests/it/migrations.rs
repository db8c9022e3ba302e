//! Migrations run both ways, and `src/db/schema.rs` is what they make.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use diesel_migrations::MigrationHarness;

use hm::db::vectors::{Vectors, find_vectors};

use crate::support::{self, TestDatabase};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Everything the migrations may have made, one fact a line, in an order that does not depend on when it was made.
const DUMP: &str = "
SELECT 'column ' || table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable || ' ' || coalesce(column_default, '')
    || ' ' || is_identity || ' ' || coalesce(generation_expression, '') || ' #' || ordinal_position
    || ' ' || coalesce(col_description(format('public.%I', table_name)::regclass, ordinal_position), '') AS line
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'table ' || relname || ' ' || relkind::text || ' ' || coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'S')
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraint ' || conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || p.oid::regprocedure::text || ' ' || md5(prosrc)
FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
UNION ALL SELECT 'type ' || t.typname FROM pg_type t WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd')
ORDER BY line";

pub(crate) fn dump(conn: &mut PgConnection) -> Vec<String> {
    sql_query(DUMP).load::<Line>(conn).unwrap().into_iter().map(|row| row.line).collect()
}

#[test]
fn up_down_up_leaves_the_same_schema() {
    let database = TestDatabase::empty();
    let mut conn = PgConnection::establish(database.url()).unwrap();
    hm::db::migrate(database.url()).unwrap();
    let first = dump(&mut conn);
    assert!(first.iter().any(|line| line.starts_with("trigger ")), "the dump sees nothing: {first:#?}");

    conn.revert_all_migrations(hm::db::MIGRATIONS).unwrap();
    let left: Vec<String> = dump(&mut conn).into_iter().filter(|line| !line.contains("__diesel_schema_migrations")).collect();
    assert!(left.is_empty(), "down.sql leaves behind: {left:#?}");

    hm::db::migrate(database.url()).unwrap();
    assert_eq!(dump(&mut conn), first);
}

#[test]
fn migrating_twice_changes_nothing() {
    let database = TestDatabase::new();
    let before = dump(&mut database.connection());
    hm::db::migrate(database.url()).unwrap();
    assert_eq!(dump(&mut database.connection()), before);
}

#[test]
fn schema_rs_has_the_columns_of_the_database() {
    let columns = "SELECT table_name || '.' || column_name || ' ' || (is_nullable = 'YES') || ' ' || udt_name AS line
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN ('__diesel_schema_migrations', 'embeddings')";
    let database = TestDatabase::new();
    let rows = sql_query(columns).load::<Line>(&mut database.connection()).unwrap();
    let in_database: BTreeSet<String> = rows.into_iter().map(|row| row.line).collect();
    let in_schema_rs = columns_of(include_str!("../../src/db/schema.rs"));
    let drift: Vec<_> = in_database.symmetric_difference(&in_schema_rs).collect();
    assert!(drift.is_empty(), "src/db/schema.rs and the migrations differ: {drift:#?}");
}

/// `table.column nullable type` of every column of the printed schema, types in PostgreSQL's words.
fn columns_of(schema: &str) -> BTreeSet<String> {
    let types: BTreeMap<_, _> = [
        ("Int2", "int2"),
        ("Int4", "int4"),
        ("Int8", "int8"),
        ("Float4", "float4"),
        ("Float8", "float8"),
        ("Bool", "bool"),
        ("Text", "text"),
        ("Bytea", "bytea"),
        ("Date", "date"),
        ("Timestamp", "timestamp"),
        ("Timestamptz", "timestamptz"),
        ("Jsonb", "jsonb"),
        ("Uuid", "uuid"),
        ("Ltree", "ltree"),
        ("Tsvector", "tsvector"),
        ("Array<Nullable<Text>>", "_text"),
        ("Array<Nullable<Int8>>", "_int8"),
        ("Array<Nullable<Bytea>>", "_bytea"),
    ]
    .into();
    let mut table = String::new();
    let mut columns = BTreeSet::new();
    for line in schema.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with("diesel")) {
        if line.ends_with(") {") {
            table = line.split_once(' ').expect("name and key").0.to_owned();
        } else if let Some((column, sql_type)) = line.trim_end_matches(',').split_once(" -> ") {
            let column = column.split_once(' ').map_or(column, |(name, _)| name);
            let (nullable, inner) = match sql_type.strip_prefix("Nullable<").and_then(|rest| rest.strip_suffix('>')) {
                Some(inner) => (true, inner),
                None => (false, sql_type),
            };
            let name = types.get(inner).unwrap_or_else(|| panic!("`{inner}` is not in the test's table of types"));
            columns.insert(format!("{table}.{column} {nullable} {name}"));
        }
    }
    columns
}

/// Where there is no pgvector hm works without; when it comes, the next start makes the table, and the vectors have to be made again.
#[test]
fn the_table_of_vectors_comes_with_the_extension() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    if !support::has_vectors(conn) {
        return;
    }
    let with_vectors = dump(conn);
    conn.batch_execute(
        "DROP TABLE embeddings; DROP EXTENSION vector; INSERT INTO vaults (name) VALUES ('photos');
         INSERT INTO folders (vault_id, tree, rel_path_bytes, rel_path, name) SELECT id, 'f1', '', '', '' FROM vaults;
         INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, file_count, total_size_bytes, suffixes, has_raw,
             has_jpeg, has_sidecar, is_video, grouping_rule)
         SELECT vault_id, id, 'a', '2019-08-03', 'x', 1, 1, '{}', false, true, false, false, 'stem' FROM folders;
         INSERT INTO networks (kind, name, version, family, title) VALUES ('embed', 'a', '1', 'clip', 'A'), ('detect', 'b', '1', 'yolo11', 'B');
         INSERT INTO image_results (network_id, image_id, picture_key) SELECT n.id, i.id, 'x' FROM networks AS n, images AS i",
    )
    .unwrap();
    assert_eq!(find_vectors(conn).unwrap(), Vectors::Unused);

    // Somebody who may not install extensions.
    conn.begin_test_transaction().unwrap();
    conn.batch_execute("CREATE ROLE hm_plain_reader; SET ROLE hm_plain_reader").unwrap();
    conn.batch_execute(include_str!("../../src/db/vector_extension.sql")).unwrap();
    conn.batch_execute(include_str!("../../src/db/embeddings.sql")).unwrap();
    conn.batch_execute("RESET ROLE").unwrap();
    assert_eq!(find_vectors(conn).unwrap(), Vectors::Unused);
    conn.batch_execute("ROLLBACK").unwrap();

    hm::db::migrate(database.url()).unwrap();
    let conn = &mut database.connection();
    assert_eq!(dump(conn), with_vectors);
    assert!(find_vectors(conn).unwrap().is_ready());
    let done = sql_query("SELECT kind || ' ' || done_count AS line FROM networks ORDER BY kind").load::<Line>(conn).unwrap();
    let done: Vec<_> = done.into_iter().map(|row| row.line).collect();
    assert_eq!(done, ["detect 1", "embed 0"], "what was answered without a vector is asked again");
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

#[test]
fn parts_of_file_names_are_found_by_an_index_where_the_server_allows_one() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let plan = |conn: &mut PgConnection| -> String {
        // As `db::query` asks; the table is empty, where reading it whole costs nothing.
        conn.batch_execute("SET enable_seqscan = off").unwrap();
        let plan = sql_query("EXPLAIN SELECT FROM files AS f WHERE fold(f.name) LIKE ANY (ARRAY['%1234%'])").load::<Plan>(conn).unwrap();
        plan.into_iter().map(|row| row.line + "\n").collect()
    };
    let found = plan(conn);
    assert!(found.contains("files_name_parts"), "{found}");

    // Somebody who may make neither the extension nor, without it, the index.
    conn.begin_test_transaction().unwrap();
    conn.batch_execute("DROP EXTENSION pg_trgm CASCADE; CREATE ROLE hm_plain; SET ROLE hm_plain").unwrap();
    conn.batch_execute(include_str!("../../migrations/2026-11-26-000012_file_name_parts/up.sql")).unwrap();
    conn.batch_execute("RESET ROLE").unwrap();
    let found = plan(conn);
    assert!(!found.contains("files_name_parts"), "{found}");
}
