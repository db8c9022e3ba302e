ALTER TABLE images
    ADD COLUMN pick text NOT NULL DEFAULT 'none',
    ADD COLUMN color_label text NOT NULL DEFAULT 'none',
    ADD COLUMN city text,
    ADD COLUMN state text,
    ADD COLUMN country text,
    ADD COLUMN country_code text,
    ADD CONSTRAINT images_pick_known CHECK (pick IN ('none', 'pending', 'picked')),
    ADD CONSTRAINT images_color_label_known CHECK (color_label IN ('none', 'red', 'yellow', 'green', 'blue', 'purple'));
COMMENT ON COLUMN images.captured_at_source IS 'The tag it comes from, file-name, file-modified, or person.';
COMMENT ON COLUMN images.pick IS 'A flag beside the stars: none, pending or picked; rejected is the rating -1.';
COMMENT ON COLUMN images.color_label IS 'none, red, yellow, green, blue or purple.';
COMMENT ON COLUMN images.state IS 'State, province or region of the place.';
COMMENT ON COLUMN images.country_code IS 'ISO 3166, two or three capital letters.';

CREATE SEQUENCE edit_batches AS bigint;
COMMENT ON SEQUENCE edit_batches IS 'Numbers of edits.batch_id.';

-- Neither table is emptied by the way: an image with a history cannot be deleted before its history has gone elsewhere.
CREATE TABLE edits (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL,
    image_id bigint NOT NULL REFERENCES images (id),
    field text NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    author text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    undone_at timestamptz,
    undone_by text,
    CONSTRAINT edits_field_known CHECK (field IN
        ('rating', 'pick', 'color_label', 'title', 'description', 'keywords', 'gps', 'captured_at', 'place')),
    CONSTRAINT edits_undone_by_somebody CHECK ((undone_at IS NULL) = (undone_by IS NULL))
);
COMMENT ON TABLE edits IS 'What was changed about images, by whom and when: kept for ever.';
COMMENT ON COLUMN edits.batch_id IS 'One action, of one image or of thousands: what is undone at once.';
COMMENT ON COLUMN edits.field IS 'hm::models::edit::Field.';
COMMENT ON COLUMN edits.before IS 'What was shown until then: hm::models::edit::Value.';
COMMENT ON COLUMN edits.after IS 'What is shown from then on.';
COMMENT ON COLUMN edits.author IS 'A person, outside (another program changed the vault) or merge (images became one).';
COMMENT ON COLUMN edits.undone_at IS 'When it was taken back; null while it holds.';
CREATE INDEX edits_image_id ON edits (image_id, id DESC);
CREATE INDEX edits_batch_id ON edits (batch_id);

CREATE TABLE image_edits (
    image_id bigint NOT NULL REFERENCES images (id),
    field text NOT NULL,
    value jsonb NOT NULL,
    base jsonb,
    state text NOT NULL DEFAULT 'pending',
    reason text,
    outside jsonb,
    written_at timestamptz,
    written_fingerprint bytea,
    attempts int NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (image_id, field),
    CONSTRAINT image_edits_field_known CHECK (field IN
        ('rating', 'pick', 'color_label', 'title', 'description', 'keywords', 'gps', 'captured_at', 'place')),
    CONSTRAINT image_edits_state_known CHECK (state IN ('pending', 'written', 'failed', 'conflict')),
    CONSTRAINT image_edits_conflict_has_two_sides CHECK ((state = 'conflict') = (outside IS NOT NULL)),
    CONSTRAINT image_edits_failure_has_a_reason CHECK ((state = 'failed') = (reason IS NOT NULL))
);
COMMENT ON TABLE image_edits IS 'What people say about images, field by field, and how far it is on its way to the sidecars: the outbox. images shows the same values.';
COMMENT ON COLUMN image_edits.field IS 'hm::models::edit::Field.';
COMMENT ON COLUMN image_edits.value IS 'The person''s value: hm::models::edit::Value.';
COMMENT ON COLUMN image_edits.base IS 'What the vault said when it was last compared. Null where the image''s files changed hands since: the next scan says.';
COMMENT ON COLUMN image_edits.state IS 'pending: to be written. written: the vault says it. failed: could not be written, tried again. conflict: a person has to choose.';
COMMENT ON COLUMN image_edits.reason IS 'Why it failed.';
COMMENT ON COLUMN image_edits.outside IS 'In a conflict, what the vault says instead.';
COMMENT ON COLUMN image_edits.written_at IS 'When hm last wrote this field into a sidecar.';
COMMENT ON COLUMN image_edits.written_fingerprint IS 'files.fingerprint of that sidecar, until a scan has seen it: a scan knows our own hand.';
COMMENT ON COLUMN image_edits.attempts IS 'Failures since the value was set.';
COMMENT ON COLUMN image_edits.updated_at IS 'When value or state last changed; a failure is tried again a while after.';
CREATE INDEX image_edits_outbox ON image_edits (state, image_id) WHERE state <> 'written';
