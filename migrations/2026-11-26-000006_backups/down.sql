CREATE OR REPLACE FUNCTION tag_levels(keywords text[]) RETURNS TABLE (name text, shown text) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT DISTINCT ON (name) left(fold(part), 200) AS name, left(part, 200) AS shown
    FROM unnest(keywords) AS keyword, string_to_array(keyword, '|') AS levels,
        generate_series(1, least(cardinality(levels), 16)) AS level,
        LATERAL (VALUES (array_to_string(levels[1:level], '|')), (levels[level])) AS parts (part)
    WHERE part <> '' ORDER BY name, shown
$$;
CREATE OR REPLACE FUNCTION tag_names(keywords text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(name), '{}') FROM tag_levels(keywords)
$$;
DROP INDEX files_content;
DROP INDEX images_tagged;
DROP INDEX images_day;
CREATE INDEX images_day ON images (day);
DROP TABLE backups;
