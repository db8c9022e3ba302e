-- Installs pgvector into this database where the server has one that knows half precision (0.7), or brings an older one up to date; does
-- nothing where it cannot. hm::db::vectors::find_vectors says why it could not.
DO $do$
DECLARE
    half_precision CONSTANT int[] := ARRAY[0, 7];
    installed text;
BEGIN
    SELECT extversion INTO installed FROM pg_extension WHERE extname = 'vector';
    IF (regexp_match(installed, '^(\d+)\.(\d+)'))::int[] >= half_precision OR NOT EXISTS (
        SELECT FROM pg_available_extensions
        WHERE name = 'vector' AND (regexp_match(default_version, '^(\d+)\.(\d+)'))::int[] >= half_precision
    ) THEN
        RETURN;
    END IF;
    IF installed IS NOT NULL THEN
        ALTER EXTENSION vector UPDATE;
    ELSIF to_regnamespace('public') IS NULL THEN
        CREATE EXTENSION vector;
    ELSE
        CREATE EXTENSION vector WITH SCHEMA public;
    END IF;
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
    NULL;
END $do$;
