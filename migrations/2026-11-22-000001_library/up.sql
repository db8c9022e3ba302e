CREATE EXTENSION IF NOT EXISTS ltree WITH SCHEMA public;

CREATE TABLE vaults (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    root_names text[] NOT NULL DEFAULT '{}',
    offline_since timestamptz,
    offline_reason text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE vaults IS 'A disk or share with photographs.';
COMMENT ON COLUMN vaults.root_names IS 'Names seen in the root at the last scan: a root that has none of them is another disk, or an empty mount point.';
COMMENT ON COLUMN vaults.offline_since IS 'Null while the vault can be read.';

CREATE TABLE vault_mounts (
    vault_id bigint NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    host text NOT NULL,
    path bytea NOT NULL,
    PRIMARY KEY (vault_id, host)
);
COMMENT ON COLUMN vault_mounts.path IS 'Absolute path on that host, exact bytes.';

CREATE TABLE folders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vault_id bigint NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    parent_id bigint REFERENCES folders (id) ON DELETE CASCADE,
    tree ltree NOT NULL,
    rel_path_bytes bytea NOT NULL,
    rel_path text NOT NULL,
    name text NOT NULL,
    UNIQUE (vault_id, rel_path_bytes)
);
COMMENT ON COLUMN folders.tree IS 'Ids of the folders from the root down, as f1.f12.f345.';
COMMENT ON COLUMN folders.rel_path_bytes IS 'Path inside the vault, exact bytes, / between parts, empty for the root.';
COMMENT ON COLUMN folders.rel_path IS 'The same in NFC for people.';
CREATE INDEX folders_parent_id ON folders (parent_id);
CREATE INDEX folders_tree ON folders USING gist (tree);

CREATE TABLE cameras (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    make text NOT NULL,
    model text NOT NULL,
    name text NOT NULL UNIQUE,
    UNIQUE (make, model)
);
COMMENT ON COLUMN cameras.name IS 'As shown: maker and model without the maker said twice.';

CREATE TABLE lenses (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE images (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vault_id bigint NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    folder_id bigint NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    base_name text NOT NULL,
    captured_at timestamp NOT NULL,
    captured_at_source text NOT NULL,
    captured_offset_minutes smallint,
    day date GENERATED ALWAYS AS (captured_at::date) STORED NOT NULL,
    camera_id int REFERENCES cameras (id),
    lens_id int REFERENCES lenses (id),
    iso int,
    f_number float8,
    exposure_s float8,
    focal_length_mm float8,
    latitude_deg float8,
    longitude_deg float8,
    altitude_m float8,
    width_px int,
    height_px int,
    orientation smallint,
    ratio_milli int NOT NULL DEFAULT 1500,
    title text,
    description text,
    rating smallint,
    keywords text[] NOT NULL DEFAULT '{}',
    hierarchical_keywords text[] NOT NULL DEFAULT '{}',
    file_count int NOT NULL,
    total_size_bytes bigint NOT NULL,
    suffixes text[] NOT NULL,
    has_raw bool NOT NULL,
    has_jpeg bool NOT NULL,
    has_sidecar bool NOT NULL,
    is_video bool NOT NULL,
    is_missing bool NOT NULL DEFAULT false,
    grouping_rule text NOT NULL,
    picture_file_id bigint,
    picture_key text,
    search_words tsvector NOT NULL DEFAULT ''::tsvector,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT images_rating_range CHECK (rating BETWEEN -1 AND 5),
    CONSTRAINT images_orientation_range CHECK (orientation BETWEEN 1 AND 8),
    CONSTRAINT images_latitude_range CHECK (latitude_deg BETWEEN -90 AND 90),
    CONSTRAINT images_longitude_range CHECK (longitude_deg BETWEEN -180 AND 180),
    CONSTRAINT images_ratio_positive CHECK (ratio_milli > 0)
);
COMMENT ON TABLE images IS 'One moment: all the files of one press of the shutter.';
COMMENT ON COLUMN images.captured_at IS 'Local wall-clock time where it was taken; never converted.';
COMMENT ON COLUMN images.captured_at_source IS 'The tag it comes from, file-name or file-modified.';
COMMENT ON COLUMN images.captured_offset_minutes IS 'Minutes east of UTC where known.';
COMMENT ON COLUMN images.width_px IS 'Upright, of the best file.';
COMMENT ON COLUMN images.ratio_milli IS 'Upright width / height in thousandths; 1500 until known.';
COMMENT ON COLUMN images.rating IS '-1 rejected, 0 unrated, 1 to 5 stars; null where no file says anything.';
COMMENT ON COLUMN images.hierarchical_keywords IS 'Levels divided by |.';
COMMENT ON COLUMN images.is_missing IS 'No file with pixels is on its healthy vault any more.';
COMMENT ON COLUMN images.grouping_rule IS 'Why these files are one image; person when a person said so.';
COMMENT ON COLUMN images.picture_file_id IS 'The file that thumbnails are made from first.';
COMMENT ON COLUMN images.picture_key IS 'Names the thumbnails on disk: changes whenever the pixels may have changed. Null when there is nothing to show.';
CREATE INDEX images_timeline ON images (captured_at DESC, id DESC);
CREATE INDEX images_day ON images (day);
CREATE INDEX images_vault_id ON images (vault_id);
CREATE INDEX images_folder ON images (folder_id, captured_at DESC, id DESC);
CREATE INDEX images_camera ON images (camera_id, captured_at DESC, id DESC);
CREATE INDEX images_lens ON images (lens_id, captured_at DESC, id DESC);
CREATE INDEX images_rated ON images (rating, captured_at DESC, id DESC) WHERE rating <> 0;
CREATE INDEX images_raw ON images (captured_at DESC, id DESC) WHERE has_raw;
CREATE INDEX images_video ON images (captured_at DESC, id DESC) WHERE is_video;
CREATE INDEX images_placed ON images (captured_at DESC, id DESC) WHERE latitude_deg IS NOT NULL;
CREATE INDEX images_search_words ON images USING gin (search_words);

CREATE TABLE files (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vault_id bigint NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    folder_id bigint NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    image_id bigint REFERENCES images (id) ON DELETE SET NULL,
    name_bytes bytea NOT NULL,
    name text NOT NULL,
    format text NOT NULL,
    role text NOT NULL DEFAULT 'UNKNOWN',
    size_bytes bigint NOT NULL,
    modified_at_ns bigint NOT NULL,
    fingerprint bytea,
    facts jsonb NOT NULL DEFAULT '{}',
    error text,
    pin text,
    missing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (folder_id, name_bytes),
    CONSTRAINT files_role_known CHECK (role IN ('ORIGINAL', 'COVER', 'SIDECAR', 'EXPORT', 'DERIVATIVE', 'UNKNOWN'))
);
COMMENT ON COLUMN files.name_bytes IS 'File name, exact bytes.';
COMMENT ON COLUMN files.name IS 'The same in NFC for people.';
COMMENT ON COLUMN files.modified_at_ns IS 'Nanoseconds since 1970-01-01 UTC.';
COMMENT ON COLUMN files.fingerprint IS 'BLAKE3 of size, first and last 64 KiB, 16 bytes: finds moves and duplicate candidates.';
COMMENT ON COLUMN files.facts IS 'What the file itself says: hm::models::Facts.';
COMMENT ON COLUMN files.error IS 'Why the file could not be read, whole or in part.';
COMMENT ON COLUMN files.pin IS 'A person''s word on grouping: files with the same pin are one image, whatever the rules say.';
COMMENT ON COLUMN files.missing_since IS 'When a healthy vault was first seen without it.';
CREATE INDEX files_vault_id ON files (vault_id);
CREATE INDEX files_image_id ON files (image_id);
CREATE INDEX files_fingerprint ON files (fingerprint);
CREATE INDEX files_missing ON files (vault_id) WHERE missing_since IS NOT NULL;
CREATE INDEX files_broken ON files (vault_id) WHERE error IS NOT NULL;

ALTER TABLE images ADD FOREIGN KEY (picture_file_id) REFERENCES files (id) ON DELETE SET NULL;
CREATE INDEX images_picture_file_id ON images (picture_file_id);

CREATE TABLE pictures (
    image_id bigint PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    key text NOT NULL,
    placeholder bytea,
    width_px int,
    height_px int,
    source text,
    error text,
    made_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pictures IS 'What was made to look at; lacking where key differs from images.picture_key.';
COMMENT ON COLUMN pictures.placeholder IS 'ThumbHash, upright.';
COMMENT ON COLUMN pictures.width_px IS 'Of the proxy, upright.';
COMMENT ON COLUMN pictures.source IS 'What it was made from: full, embedded-preview, developed, poster-frame.';
COMMENT ON COLUMN pictures.error IS 'Why nothing could be made.';

CREATE TABLE timeline_days (
    day date PRIMARY KEY,
    image_count int NOT NULL,
    ratio_milli_sum bigint NOT NULL
);
COMMENT ON TABLE timeline_days IS 'Images a local day, kept by trigger: a timeline of a million images is read in a millisecond.';

CREATE FUNCTION count_timeline_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO timeline_days AS t
        SELECT day, count(*), sum(ratio_milli) FROM new_images GROUP BY day ORDER BY day
        ON CONFLICT (day) DO UPDATE SET image_count = t.image_count + excluded.image_count,
            ratio_milli_sum = t.ratio_milli_sum + excluded.ratio_milli_sum;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO timeline_days AS t
        SELECT day, -count(*), -sum(ratio_milli) FROM old_images GROUP BY day ORDER BY day
        ON CONFLICT (day) DO UPDATE SET image_count = t.image_count + excluded.image_count,
            ratio_milli_sum = t.ratio_milli_sum + excluded.ratio_milli_sum;
    ELSE
        INSERT INTO timeline_days AS t
        SELECT day, sum(n), sum(r) FROM (
            SELECT day, 1 AS n, ratio_milli AS r FROM new_images
            UNION ALL
            SELECT day, -1, -ratio_milli FROM old_images
        ) AS both_sides GROUP BY day HAVING sum(n) <> 0 OR sum(r) <> 0 ORDER BY day
        ON CONFLICT (day) DO UPDATE SET image_count = t.image_count + excluded.image_count,
            ratio_milli_sum = t.ratio_milli_sum + excluded.ratio_milli_sum;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER images_inserted AFTER INSERT ON images REFERENCING NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_timeline_days();
CREATE TRIGGER images_deleted AFTER DELETE ON images REFERENCING OLD TABLE AS old_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_timeline_days();
CREATE TRIGGER images_updated AFTER UPDATE ON images REFERENCING OLD TABLE AS old_images NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_timeline_days();

CREATE TABLE scans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    process_id int NOT NULL,
    paths text[] NOT NULL,
    state text NOT NULL DEFAULT 'running',
    progress jsonb NOT NULL DEFAULT '{}',
    message text,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT scans_state_known CHECK (state IN ('running', 'done', 'problems', 'offline', 'interrupted', 'failed'))
);
COMMENT ON COLUMN scans.progress IS 'Counters as in hm::scan::Summary.';
COMMENT ON COLUMN scans.updated_at IS 'A running scan beats every few seconds; an old beat is a scan that died.';
CREATE INDEX scans_started_at ON scans (started_at DESC);
