CREATE TEMPORARY TABLE map_cells_of_all AS
SELECT level, cell, sum(image_count)::int AS image_count, sum(latitude_sum_udeg)::bigint AS latitude_sum_udeg,
    sum(longitude_sum_udeg)::bigint AS longitude_sum_udeg
FROM map_cells GROUP BY 1, 2;
TRUNCATE map_cells;
ALTER TABLE map_cells
    DROP CONSTRAINT map_cells_pkey,
    DROP COLUMN has_raw,
    DROP COLUMN has_jpeg,
    DROP COLUMN is_video,
    ADD PRIMARY KEY (level, cell);
INSERT INTO map_cells (level, cell, image_count, latitude_sum_udeg, longitude_sum_udeg) SELECT * FROM map_cells_of_all;
DROP TABLE map_cells_of_all;

CREATE OR REPLACE FUNCTION count_map_cells() RETURNS trigger LANGUAGE plpgsql AS $$
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
