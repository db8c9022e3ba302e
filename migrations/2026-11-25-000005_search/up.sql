-- Lower-case, without accents: the rule of hm::models::fold. The database is made with the locale C, whose lower() knows ASCII
-- alone, so a Unicode collation is named.
DO $do$
DECLARE unicode text;
BEGIN
    SELECT collname INTO unicode FROM pg_collation
    WHERE collname IN ('und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8') AND collencoding IN (-1, pg_char_to_encoding('UTF8'))
    ORDER BY array_position(ARRAY['und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8'], collname::text) LIMIT 1;
    EXECUTE format($sql$
        CREATE FUNCTION fold(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT CASE WHEN octet_length(value) = char_length(value) THEN lower(value COLLATE "C") ELSE
                replace(replace(replace(translate(
                    normalize(regexp_replace(normalize(lower(value COLLATE %I), NFD), '[\u0300-\u036f]+', '', 'g'), NFC) COLLATE "C",
                    'ςøłđðı', 'σolddi'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe') END
        $$
    $sql$, coalesce(unicode, 'default'));
END $do$;
COMMENT ON FUNCTION fold IS 'As names are compared: lower-case, without accents.';

-- Words were kept with their accents until now.
UPDATE images SET search_words = array_to_tsvector(ARRAY(
    SELECT DISTINCT fold(word) FROM unnest(tsvector_to_array(search_words)) AS word WHERE fold(word) <> ''
))
WHERE octet_length(search_words::text) <> char_length(search_words::text);

-- Keywords: every level of a hierarchical one by itself and with all above it. Longer ones and deeper ones are cut: an index
-- takes no endless entry.
CREATE FUNCTION tag_levels(keywords text[]) RETURNS TABLE (name text, shown text) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT DISTINCT ON (name) left(fold(part), 200) AS name, left(part, 200) AS shown
    FROM unnest(keywords) AS keyword, string_to_array(keyword, '|') AS levels,
        generate_series(1, least(cardinality(levels), 16)) AS level,
        LATERAL (VALUES (array_to_string(levels[1:level], '|')), (levels[level])) AS parts (part)
    WHERE part <> '' ORDER BY name, shown
$$;
CREATE FUNCTION tag_names(keywords text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(name), '{}') FROM tag_levels(keywords)
$$;
COMMENT ON FUNCTION tag_names IS 'What an image with these keywords is tagged with.';
-- Kept with the image: ten thousand images are looked through in a moment, taking their keywords apart would last a second.
ALTER TABLE images ADD COLUMN tag_names text[] NOT NULL GENERATED ALWAYS AS (
    CASE WHEN keywords = '{}' AND hierarchical_keywords = '{}' THEN '{}'::text[] ELSE tag_names(keywords || hierarchical_keywords) END
) STORED;
COMMENT ON COLUMN images.tag_names IS 'Every keyword and level of one, folded: tags.name.';
CREATE INDEX images_tags ON images USING gin (tag_names) WHERE tag_names <> '{}';

CREATE TABLE tags (
    name text PRIMARY KEY,
    shown text NOT NULL,
    image_count int NOT NULL
);
COMMENT ON TABLE tags IS 'Every keyword and level of one, counted by trigger.';
COMMENT ON COLUMN tags.name IS 'Folded; | between levels.';
COMMENT ON COLUMN tags.shown IS 'As it is written.';
COMMENT ON COLUMN tags.image_count IS 'May be 0.';
INSERT INTO tags
SELECT t.name, min(t.shown), count(*) FROM images AS i, tag_levels(i.keywords || i.hierarchical_keywords) AS t
WHERE i.keywords <> '{}' OR i.hierarchical_keywords <> '{}' GROUP BY t.name;

CREATE FUNCTION count_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tags AS k
        SELECT t.name, min(t.shown), count(*) FROM new_images AS i, tag_levels(i.keywords || i.hierarchical_keywords) AS t
        WHERE i.keywords <> '{}' OR i.hierarchical_keywords <> '{}' GROUP BY t.name ORDER BY t.name
        ON CONFLICT (name) DO UPDATE SET image_count = k.image_count + excluded.image_count;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tags AS k
        SELECT t.name, min(t.shown), -count(*) FROM old_images AS i, tag_levels(i.keywords || i.hierarchical_keywords) AS t
        WHERE i.keywords <> '{}' OR i.hierarchical_keywords <> '{}' GROUP BY t.name ORDER BY t.name
        ON CONFLICT (name) DO UPDATE SET image_count = k.image_count + excluded.image_count;
    ELSE
        INSERT INTO tags AS k
        SELECT t.name, min(t.shown), sum(c.n)
        FROM new_images AS i JOIN old_images AS o USING (id),
            LATERAL (VALUES (i.keywords || i.hierarchical_keywords, 1), (o.keywords || o.hierarchical_keywords, -1)) AS c (keywords, n),
            tag_levels(c.keywords) AS t
        WHERE i.keywords IS DISTINCT FROM o.keywords OR i.hierarchical_keywords IS DISTINCT FROM o.hierarchical_keywords
        GROUP BY t.name HAVING sum(c.n) <> 0 ORDER BY t.name
        ON CONFLICT (name) DO UPDATE SET image_count = k.image_count + excluded.image_count;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER images_inserted_tags AFTER INSERT ON images REFERENCING NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_tags();
CREATE TRIGGER images_deleted_tags AFTER DELETE ON images REFERENCING OLD TABLE AS old_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_tags();
CREATE TRIGGER images_updated_tags AFTER UPDATE ON images REFERENCING OLD TABLE AS old_images NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_tags();

-- Christmas of every year, in the order of the timeline.
CREATE FUNCTION month_day(at timestamp) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (date_part('month', at) * 100 + date_part('day', at))::int
$$;
COMMENT ON FUNCTION month_day IS 'Month and day as one number: 1225.';
CREATE INDEX images_month_day ON images (month_day(captured_at), captured_at DESC, id DESC);

-- With what orders and names an image, so that a place where thousands were taken is answered from the index alone.
CREATE INDEX images_place ON images (latitude_deg, longitude_deg, captured_at, id) WHERE latitude_deg IS NOT NULL;
CREATE INDEX images_city ON images (city, captured_at DESC, id DESC) WHERE city IS NOT NULL;
CREATE INDEX images_state ON images (state, captured_at DESC, id DESC) WHERE state IS NOT NULL;
CREATE INDEX images_country ON images (country, captured_at DESC, id DESC) WHERE country IS NOT NULL;
CREATE INDEX images_country_code ON images (country_code) WHERE country_code IS NOT NULL;
CREATE INDEX images_labelled ON images (color_label, captured_at DESC, id DESC) WHERE color_label <> 'none';
CREATE INDEX images_picked ON images (pick, captured_at DESC, id DESC) WHERE pick <> 'none';
CREATE INDEX images_missing ON images (captured_at DESC, id DESC) WHERE is_missing;
CREATE INDEX images_with_sidecar ON images (captured_at DESC, id DESC) WHERE has_sidecar;
CREATE INDEX files_versions ON files (image_id) WHERE role IN ('EXPORT', 'DERIVATIVE');
CREATE INDEX files_rare_formats ON files (format, image_id) WHERE format <> 'jpeg' AND format <> 'xmp';

CREATE TABLE searches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    query text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT searches_name_given CHECK (name <> '')
);
COMMENT ON TABLE searches IS 'Searches that were given a name.';
COMMENT ON COLUMN searches.query IS 'In the search language, as it is printed.';
CREATE UNIQUE INDEX searches_name ON searches (fold(name));
