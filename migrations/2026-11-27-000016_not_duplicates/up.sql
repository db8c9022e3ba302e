CREATE TABLE not_duplicates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE not_duplicates IS 'A person''s word that some images are no duplicates of each other, however alike they are: it outlives whatever finds them alike.';
COMMENT ON COLUMN not_duplicates.author IS 'Who said so.';

CREATE TABLE not_duplicate_images (
    decision_id bigint NOT NULL REFERENCES not_duplicates (id) ON DELETE CASCADE,
    image_id bigint NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (image_id, decision_id)
);
COMMENT ON TABLE not_duplicate_images IS 'The images of each such decision: no two of one are shown as alike again.';
CREATE INDEX not_duplicate_images_decision_id ON not_duplicate_images (decision_id);
