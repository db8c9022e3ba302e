DROP TABLE image_edits;
DROP TABLE edits;
DROP SEQUENCE edit_batches;
COMMENT ON COLUMN images.captured_at_source IS 'The tag it comes from, file-name or file-modified.';
ALTER TABLE images
    DROP COLUMN pick,
    DROP COLUMN color_label,
    DROP COLUMN city,
    DROP COLUMN state,
    DROP COLUMN country,
    DROP COLUMN country_code;
