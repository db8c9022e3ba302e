-- `file:*1234*`: a part of a name that no word begins with was looked for in every name there is.
--
-- The extension is part of PostgreSQL's own packages, as ltree is, and may be made by whoever may make that. On a server that does
-- not allow it there is no index, and such a search reads the names as before.
DO $do$
DECLARE place text;
BEGIN
    IF to_regnamespace('public') IS NULL THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
    ELSE
        CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
    END IF;
    SELECT n.nspname INTO place FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
    EXECUTE format('CREATE INDEX files_name_parts ON files USING gin (fold(name) %I.gin_trgm_ops)', place);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
    RAISE NOTICE 'parts of file names are searched without an index: %', SQLERRM;
END $do$;
