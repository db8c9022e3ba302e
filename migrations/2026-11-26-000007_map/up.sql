-- What the coordinates say about a place, beside what files and people say, and never mixed with it.
ALTER TABLE images
    ADD COLUMN gps_city text,
    ADD COLUMN gps_state text,
    ADD COLUMN gps_country text,
    ADD COLUMN gps_country_code text,
    ADD COLUMN gps_edition smallint;
COMMENT ON COLUMN images.gps_city IS 'Town at the coordinates; images.city is what a file or a person says.';
COMMENT ON COLUMN images.gps_state IS 'Its state, province or region.';
COMMENT ON COLUMN images.gps_country IS 'Its country.';
COMMENT ON COLUMN images.gps_country_code IS 'ISO 3166, two capital letters.';
COMMENT ON COLUMN images.gps_edition IS 'hm::models::gazetteer::EDITION that named the coordinates; null where they are still to be named.';
CREATE INDEX images_gps_edition ON images (gps_edition) WHERE latitude_deg IS NOT NULL;

-- A place is called by what a file or a person says, and where they say nothing, by its coordinates.
DROP INDEX images_city;
DROP INDEX images_state;
DROP INDEX images_country;
DROP INDEX images_country_code;
CREATE INDEX images_city ON images (coalesce(city, gps_city), captured_at DESC, id DESC) WHERE coalesce(city, gps_city) IS NOT NULL;
CREATE INDEX images_state ON images (coalesce(state, gps_state), captured_at DESC, id DESC) WHERE coalesce(state, gps_state) IS NOT NULL;
CREATE INDEX images_country ON images (coalesce(country, gps_country), captured_at DESC, id DESC)
    WHERE coalesce(country, gps_country) IS NOT NULL;
CREATE INDEX images_country_code ON images (coalesce(country_code, gps_country_code))
    WHERE coalesce(country_code, gps_country_code) IS NOT NULL;

-- Squares of the web's map, each parted in four on the next level, in an order (Morton's) in which a square of any level is one
-- stretch: the bits of east and south alternate. hm::models::map has the same rule.
CREATE FUNCTION map_cell(latitude_deg float8, longitude_deg float8) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    x bigint := least(greatest(floor((longitude_deg + 180) / 360 * 16777216), 0), 16777215);
    y bigint := least(greatest(floor(
        (1 - asinh(tan(radians(least(greatest(latitude_deg, -85.0511287798), 85.0511287798)))) / pi()) / 2 * 16777216
    ), 0), 16777215);
BEGIN
    x := (x | (x << 16)) & 281470681808895;
    y := (y | (y << 16)) & 281470681808895;
    x := (x | (x << 8)) & 71777214294589695;
    y := (y | (y << 8)) & 71777214294589695;
    x := (x | (x << 4)) & 1085102592571150095;
    y := (y | (y << 4)) & 1085102592571150095;
    x := (x | (x << 2)) & 3689348814741910323;
    y := (y | (y << 2)) & 3689348814741910323;
    x := (x | (x << 1)) & 6148914691236517205;
    y := (y | (y << 1)) & 6148914691236517205;
    RETURN x | (y << 1);
END $$;
COMMENT ON FUNCTION map_cell IS 'The square of level 24 that a place lies in; shifted right by two bits it is that of level 23.';

ALTER TABLE images ADD COLUMN map_cell bigint GENERATED ALWAYS AS (map_cell(latitude_deg, longitude_deg)) STORED;
COMMENT ON COLUMN images.map_cell IS 'Square of the map, of level 24.';
-- With the place itself and what filters ask for most, so that a crowded map is counted from the index alone.
CREATE INDEX images_map ON images (map_cell)
    INCLUDE (latitude_deg, longitude_deg, id, captured_at, rating, camera_id, lens_id, has_raw, has_jpeg, is_video) WHERE map_cell IS NOT NULL;

CREATE TABLE map_cells (
    level smallint,
    cell bigint,
    image_count int NOT NULL,
    latitude_sum_udeg bigint NOT NULL,
    longitude_sum_udeg bigint NOT NULL,
    PRIMARY KEY (level, cell)
);
COMMENT ON TABLE map_cells IS 'Images of each square of the map on some levels, kept by trigger: a map of a million images is drawn in milliseconds.';
COMMENT ON COLUMN map_cells.level IS '4, 8, 12 or 16: 2^level squares lie side by side around the earth.';
COMMENT ON COLUMN map_cells.cell IS 'images.map_cell shifted right to this level.';
COMMENT ON COLUMN map_cells.image_count IS 'May be 0.';
COMMENT ON COLUMN map_cells.latitude_sum_udeg IS 'Of all its images, in millionths of a degree: their middle is this divided by their number.';
COMMENT ON COLUMN map_cells.longitude_sum_udeg IS 'The same of longitudes.';
INSERT INTO map_cells
SELECT level, map_cell >> 2 * (24 - level), count(*), sum(round(latitude_deg * 1e6)::bigint), sum(round(longitude_deg * 1e6)::bigint)
FROM images, unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level WHERE map_cell IS NOT NULL GROUP BY 1, 2;

CREATE FUNCTION count_map_cells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO map_cells AS m
        SELECT level, i.map_cell >> 2 * (24 - level), count(*), sum(round(i.latitude_deg * 1e6)::bigint), sum(round(i.longitude_deg * 1e6)::bigint)
        FROM new_images AS i, unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level WHERE i.map_cell IS NOT NULL
        GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (level, cell) DO UPDATE SET image_count = m.image_count + excluded.image_count,
            latitude_sum_udeg = m.latitude_sum_udeg + excluded.latitude_sum_udeg,
            longitude_sum_udeg = m.longitude_sum_udeg + excluded.longitude_sum_udeg;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO map_cells AS m
        SELECT level, i.map_cell >> 2 * (24 - level), -count(*), -sum(round(i.latitude_deg * 1e6)::bigint), -sum(round(i.longitude_deg * 1e6)::bigint)
        FROM old_images AS i, unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level WHERE i.map_cell IS NOT NULL
        GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (level, cell) DO UPDATE SET image_count = m.image_count + excluded.image_count,
            latitude_sum_udeg = m.latitude_sum_udeg + excluded.latitude_sum_udeg,
            longitude_sum_udeg = m.longitude_sum_udeg + excluded.longitude_sum_udeg;
    ELSE
        INSERT INTO map_cells AS m
        SELECT level, c.map_cell >> 2 * (24 - level), sum(c.n), sum(c.n * round(c.latitude_deg * 1e6)::bigint),
            sum(c.n * round(c.longitude_deg * 1e6)::bigint)
        FROM new_images AS i JOIN old_images AS o USING (id),
            LATERAL (VALUES (i.map_cell, i.latitude_deg, i.longitude_deg, 1), (o.map_cell, o.latitude_deg, o.longitude_deg, -1))
                AS c (map_cell, latitude_deg, longitude_deg, n),
            unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level
        WHERE (i.latitude_deg IS DISTINCT FROM o.latitude_deg OR i.longitude_deg IS DISTINCT FROM o.longitude_deg) AND c.map_cell IS NOT NULL
        GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (level, cell) DO UPDATE SET image_count = m.image_count + excluded.image_count,
            latitude_sum_udeg = m.latitude_sum_udeg + excluded.latitude_sum_udeg,
            longitude_sum_udeg = m.longitude_sum_udeg + excluded.longitude_sum_udeg;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER images_inserted_map AFTER INSERT ON images REFERENCING NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_map_cells();
CREATE TRIGGER images_deleted_map AFTER DELETE ON images REFERENCING OLD TABLE AS old_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_map_cells();
CREATE TRIGGER images_updated_map AFTER UPDATE ON images REFERENCING OLD TABLE AS old_images NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_map_cells();

CREATE TABLE place_counts (
    country text,
    city text,
    image_count int NOT NULL,
    PRIMARY KEY (country, city)
);
COMMENT ON TABLE place_counts IS 'Images of each town, as a file, a person or the coordinates call it, kept by trigger.';
COMMENT ON COLUMN place_counts.city IS 'Empty where only the country is known.';
COMMENT ON COLUMN place_counts.image_count IS 'May be 0.';
INSERT INTO place_counts
SELECT coalesce(country, gps_country), coalesce(city, gps_city, ''), count(*) FROM images
WHERE coalesce(country, gps_country) IS NOT NULL GROUP BY 1, 2;

CREATE FUNCTION count_places() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO place_counts AS p
        SELECT coalesce(country, gps_country), coalesce(city, gps_city, ''), count(*)
        FROM new_images WHERE coalesce(country, gps_country) IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (country, city) DO UPDATE SET image_count = p.image_count + excluded.image_count;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO place_counts AS p
        SELECT coalesce(country, gps_country), coalesce(city, gps_city, ''), -count(*)
        FROM old_images WHERE coalesce(country, gps_country) IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (country, city) DO UPDATE SET image_count = p.image_count + excluded.image_count;
    ELSE
        INSERT INTO place_counts AS p
        SELECT country, city, sum(n) FROM (
            SELECT coalesce(country, gps_country) AS country, coalesce(city, gps_city, '') AS city, 1 AS n FROM new_images
            UNION ALL
            SELECT coalesce(country, gps_country), coalesce(city, gps_city, ''), -1 FROM old_images
        ) AS both_sides WHERE country IS NOT NULL GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (country, city) DO UPDATE SET image_count = p.image_count + excluded.image_count;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER images_inserted_places AFTER INSERT ON images REFERENCING NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_places();
CREATE TRIGGER images_deleted_places AFTER DELETE ON images REFERENCING OLD TABLE AS old_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_places();
CREATE TRIGGER images_updated_places AFTER UPDATE ON images REFERENCING OLD TABLE AS old_images NEW TABLE AS new_images
    FOR EACH STATEMENT EXECUTE FUNCTION count_places();
