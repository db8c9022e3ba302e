CREATE TABLE backups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    host text NOT NULL,
    path text NOT NULL,
    size_bytes bigint,
    image_count bigint,
    error text,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    CONSTRAINT backups_kind_known CHECK (kind IN ('nightly', 'manual', 'replaced')),
    CONSTRAINT backups_made_or_failed CHECK ((error IS NULL) = (size_bytes IS NOT NULL AND image_count IS NOT NULL))
);
COMMENT ON TABLE backups IS 'Backups that were made, or could not be. The rows stay with the host that made them: no backup holds them.';
COMMENT ON COLUMN backups.kind IS 'nightly, manual, or replaced (of what a restore put aside).';
COMMENT ON COLUMN backups.path IS 'Absolute path on that host, for people.';
COMMENT ON COLUMN backups.size_bytes IS 'Null where it failed.';
COMMENT ON COLUMN backups.image_count IS 'Images in it; null where it failed.';
COMMENT ON COLUMN backups.error IS 'Why there is none.';
COMMENT ON COLUMN backups.removed_at IS 'When newer ones took its place.';
CREATE INDEX backups_finished_at ON backups (finished_at DESC);

-- The library at a glance is summed up from indexes alone: images by day with what is summed, those with keywords (in the order of the
-- timeline, for searches too), and files by content.
DROP INDEX images_day;
CREATE INDEX images_day ON images (day) INCLUDE (is_video, has_raw, has_jpeg, file_count, total_size_bytes);
CREATE INDEX images_tagged ON images (captured_at DESC, id DESC) WHERE tag_names <> '{}';
CREATE INDEX files_content ON files (fingerprint) INCLUDE (image_id, size_bytes)
    WHERE fingerprint IS NOT NULL AND role <> 'SIDECAR' AND missing_since IS NULL AND image_id IS NOT NULL;

-- A dump of PostgreSQL is read back without a search path: a function that a generated column calls must know by itself where those
-- are that it calls in turn. Bodies of this form are bound when they are made.
CREATE OR REPLACE FUNCTION tag_levels(keywords text[]) RETURNS TABLE (name text, shown text) LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT DISTINCT ON (left(fold(parts.part), 200)) left(fold(parts.part), 200), left(parts.part, 200)
    FROM unnest(keywords) AS keyword, string_to_array(keyword, '|') AS levels,
        generate_series(1, least(cardinality(levels), 16)) AS level,
        LATERAL (VALUES (array_to_string(levels[1:level], '|')), (levels[level])) AS parts (part)
    WHERE parts.part <> '' ORDER BY left(fold(parts.part), 200), left(parts.part, 200);
END;
CREATE OR REPLACE FUNCTION tag_names(keywords text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(array_agg(levels.name), '{}') FROM tag_levels(keywords) AS levels;
END;
