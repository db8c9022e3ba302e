-- What networks say about pictures. All of it but a person's word can be made again; the vectors have a table of their own, which
-- src/db/embeddings.sql makes after the migrations, because it needs pgvector and a library without that works too.
CREATE TABLE networks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    family text NOT NULL,
    title text NOT NULL,
    dimensions int,
    done_count int NOT NULL DEFAULT 0,
    failed_count int NOT NULL DEFAULT 0,
    registered_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, name, version),
    CONSTRAINT networks_kind_known CHECK (kind IN ('embed', 'detect')),
    CONSTRAINT networks_dimensions_positive CHECK (dimensions > 0)
);
COMMENT ON TABLE networks IS 'Networks that have worked on this library, each version of weights a row: what one says is never compared with what another does.';
COMMENT ON COLUMN networks.kind IS 'hm::models::task::TaskKind.';
COMMENT ON COLUMN networks.version IS 'First digits of the digest of its weights.';
COMMENT ON COLUMN networks.family IS 'hm::infer::weights::Family.';
COMMENT ON COLUMN networks.title IS 'What people call it.';
COMMENT ON COLUMN networks.dimensions IS 'Numbers of its vectors; null for other networks, and until the first vector is there.';
COMMENT ON COLUMN networks.done_count IS 'Images it has answered for, kept by trigger.';
COMMENT ON COLUMN networks.failed_count IS 'Images it could not answer for, kept by trigger.';

CREATE TABLE image_results (
    network_id bigint NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    image_id bigint NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    picture_key text NOT NULL,
    done_at timestamptz DEFAULT now(),
    error text,
    attempts int NOT NULL DEFAULT 1,
    PRIMARY KEY (network_id, image_id),
    CONSTRAINT image_results_asked_again_is_no_failure CHECK (done_at IS NOT NULL OR error IS NULL)
);
COMMENT ON TABLE image_results IS 'Which network has seen which image. An image lacks a network''s answer where there is no row, or one of another picture_key than images has, or one that is asked for again.';
COMMENT ON COLUMN image_results.picture_key IS 'The state of the picture that it saw.';
COMMENT ON COLUMN image_results.done_at IS 'Null: asked for again by a person.';
COMMENT ON COLUMN image_results.error IS 'Why there is no answer; it is not tried again until the picture changes or a person asks.';
COMMENT ON COLUMN image_results.attempts IS 'Tries until then.';
CREATE INDEX image_results_image_id ON image_results (image_id);
CREATE INDEX image_results_failed ON image_results (network_id, error, image_id) WHERE error IS NOT NULL;
CREATE INDEX image_results_asked_again ON image_results (network_id, image_id) WHERE done_at IS NULL;

CREATE FUNCTION count_results() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE networks AS n SET done_count = n.done_count + c.done, failed_count = n.failed_count + c.failed
        FROM (
            SELECT network_id, count(*) FILTER (WHERE done_at IS NOT NULL AND error IS NULL) AS done, count(error) AS failed
            FROM new_results GROUP BY network_id
        ) AS c WHERE n.id = c.network_id;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE networks AS n SET done_count = n.done_count - c.done, failed_count = n.failed_count - c.failed
        FROM (
            SELECT network_id, count(*) FILTER (WHERE done_at IS NOT NULL AND error IS NULL) AS done, count(error) AS failed
            FROM old_results GROUP BY network_id
        ) AS c WHERE n.id = c.network_id;
    ELSE
        UPDATE networks AS n SET done_count = n.done_count + c.done, failed_count = n.failed_count + c.failed
        FROM (
            SELECT network_id, sum(n) FILTER (WHERE done_at IS NOT NULL AND error IS NULL) AS done, sum(n) FILTER (WHERE error IS NOT NULL) AS failed
            FROM (
                SELECT network_id, done_at, error, 1 AS n FROM new_results
                UNION ALL
                SELECT network_id, done_at, error, -1 FROM old_results
            ) AS both_sides GROUP BY network_id
        ) AS s, LATERAL (SELECT s.network_id, coalesce(s.done, 0) AS done, coalesce(s.failed, 0) AS failed) AS c
        WHERE n.id = c.network_id AND (c.done <> 0 OR c.failed <> 0);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER image_results_inserted AFTER INSERT ON image_results REFERENCING NEW TABLE AS new_results
    FOR EACH STATEMENT EXECUTE FUNCTION count_results();
CREATE TRIGGER image_results_deleted AFTER DELETE ON image_results REFERENCING OLD TABLE AS old_results
    FOR EACH STATEMENT EXECUTE FUNCTION count_results();
CREATE TRIGGER image_results_updated AFTER UPDATE ON image_results REFERENCING OLD TABLE AS old_results NEW TABLE AS new_results
    FOR EACH STATEMENT EXECUTE FUNCTION count_results();

CREATE TABLE regions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    image_id bigint NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    network_id bigint REFERENCES networks (id),
    picture_key text NOT NULL,
    label text NOT NULL,
    score real,
    left_px real NOT NULL,
    top_px real NOT NULL,
    right_px real NOT NULL,
    bottom_px real NOT NULL,
    frame_width_px int NOT NULL,
    frame_height_px int NOT NULL,
    mask text,
    origin text NOT NULL,
    decision text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT regions_origin_known CHECK (origin IN ('network', 'person')),
    CONSTRAINT regions_network_named CHECK ((origin = 'network') = (network_id IS NOT NULL)),
    CONSTRAINT regions_decision_known CHECK (decision IN ('confirmed', 'rejected')),
    CONSTRAINT regions_score_range CHECK (score BETWEEN 0 AND 1),
    CONSTRAINT regions_frame_positive CHECK (frame_width_px > 0 AND frame_height_px > 0),
    CONSTRAINT regions_box_in_order CHECK (left_px <= right_px AND top_px <= bottom_px)
);
COMMENT ON TABLE regions IS 'What can be seen in an image, and where. A network''s next answer replaces what it said before, except what a person has decided on.';
COMMENT ON COLUMN regions.network_id IS 'Null: drawn by a person.';
COMMENT ON COLUMN regions.picture_key IS 'The state of the picture that it was found in.';
COMMENT ON COLUMN regions.label IS 'A class in the words of the network, or a person''s.';
COMMENT ON COLUMN regions.score IS 'How sure the network is, 0 to 1; null for a person''s.';
COMMENT ON COLUMN regions.left_px IS 'Of the box, in px of the frame; so for the other three.';
COMMENT ON COLUMN regions.frame_width_px IS 'Of the upright picture that box and mask are measured in.';
COMMENT ON COLUMN regions.mask IS 'Its pixels: COCO''s compressed counts, of the frame''s size; null without a mask.';
COMMENT ON COLUMN regions.origin IS 'network or person.';
COMMENT ON COLUMN regions.decision IS 'A person''s: confirmed or rejected; null while nobody has decided.';
CREATE INDEX regions_image_id ON regions (image_id, network_id);
CREATE INDEX regions_network_id ON regions (network_id);
CREATE INDEX regions_label ON regions (label, image_id);
CREATE INDEX regions_kept ON regions (image_id) WHERE origin = 'person' OR decision IS NOT NULL;

-- What was made since a moment, and the few images that never get a picture: a network cannot see those, and is not behind because of them.
CREATE INDEX pictures_made_at ON pictures (made_at) WHERE error IS NULL;
CREATE INDEX pictures_failed ON pictures (image_id) WHERE error IS NOT NULL;
CREATE INDEX images_unshown ON images (id) WHERE picture_key IS NULL;
