-- The table of vectors, wherever this database has pgvector. Run after the migrations at every start and in restored libraries, so that it
-- comes to be as soon as the extension is there; does nothing where it is there already.
--
-- Vectors lie within their rows, never beside them: an exact search reads them one after another. Each network version gets an index of
-- its own when there are enough of them (hm::db::vectors).
DO $do$
BEGIN
    IF to_regtype('halfvec') IS NULL
        OR EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'embeddings')
    THEN
        RETURN;
    END IF;
    CREATE TABLE embeddings (
        network_id bigint NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
        image_id bigint NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        vector halfvec NOT NULL,
        PRIMARY KEY (network_id, image_id)
    );
    ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE PLAIN;
    COMMENT ON TABLE embeddings IS 'What networks make of whole pictures, to be compared by the cosine of their angle, those of one network alone.';
    COMMENT ON COLUMN embeddings.vector IS 'Of unit length, networks.dimensions numbers.';
    CREATE INDEX embeddings_image_id ON embeddings (image_id);
    -- Answers of a time when the vectors had no place: they have to be given again.
    DELETE FROM image_results AS r USING networks AS n WHERE n.id = r.network_id AND n.kind = 'embed' AND r.error IS NULL;
END $do$;
