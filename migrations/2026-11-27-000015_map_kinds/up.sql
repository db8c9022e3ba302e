-- A map of one kind of file is drawn from kept counts too: each square is counted for each mixture of kinds that lies in it, of which
-- there are few.
ALTER TABLE map_cells
    DROP CONSTRAINT map_cells_pkey,
    ADD COLUMN has_raw boolean,
    ADD COLUMN has_jpeg boolean,
    ADD COLUMN is_video boolean;
TRUNCATE map_cells;
COMMENT ON COLUMN map_cells.has_raw IS 'As in images; its name too, so that a condition can be about either.';
COMMENT ON COLUMN map_cells.has_jpeg IS 'As in images.';
COMMENT ON COLUMN map_cells.is_video IS 'As in images.';

-- Every image is read once, for the finest level; the others are made of that.
WITH finest AS (
    SELECT map_cell >> 16 AS cell, has_raw, has_jpeg, is_video, count(*) AS n,
        sum(round(latitude_deg * 1e6)::bigint) AS latitudes, sum(round(longitude_deg * 1e6)::bigint) AS longitudes
    FROM images WHERE map_cell IS NOT NULL GROUP BY 1, 2, 3, 4
)
INSERT INTO map_cells (level, cell, has_raw, has_jpeg, is_video, image_count, latitude_sum_udeg, longitude_sum_udeg)
SELECT level, cell >> 2 * (16 - level), has_raw, has_jpeg, is_video, sum(n), sum(latitudes), sum(longitudes)
FROM finest, unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level GROUP BY 1, 2, 3, 4, 5;
ALTER TABLE map_cells ADD PRIMARY KEY (level, cell, has_raw, has_jpeg, is_video);

CREATE OR REPLACE FUNCTION count_map_cells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO map_cells AS m (level, cell, has_raw, has_jpeg, is_video, image_count, latitude_sum_udeg, longitude_sum_udeg)
        SELECT level, i.map_cell >> 2 * (24 - level), i.has_raw, i.has_jpeg, i.is_video, count(*),
            sum(round(i.latitude_deg * 1e6)::bigint), sum(round(i.longitude_deg * 1e6)::bigint)
        FROM new_images AS i, unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level WHERE i.map_cell IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (level, cell, has_raw, has_jpeg, is_video) DO UPDATE SET image_count = m.image_count + excluded.image_count,
            latitude_sum_udeg = m.latitude_sum_udeg + excluded.latitude_sum_udeg,
            longitude_sum_udeg = m.longitude_sum_udeg + excluded.longitude_sum_udeg;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO map_cells AS m (level, cell, has_raw, has_jpeg, is_video, image_count, latitude_sum_udeg, longitude_sum_udeg)
        SELECT level, i.map_cell >> 2 * (24 - level), i.has_raw, i.has_jpeg, i.is_video, -count(*),
            -sum(round(i.latitude_deg * 1e6)::bigint), -sum(round(i.longitude_deg * 1e6)::bigint)
        FROM old_images AS i, unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level WHERE i.map_cell IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (level, cell, has_raw, has_jpeg, is_video) DO UPDATE SET image_count = m.image_count + excluded.image_count,
            latitude_sum_udeg = m.latitude_sum_udeg + excluded.latitude_sum_udeg,
            longitude_sum_udeg = m.longitude_sum_udeg + excluded.longitude_sum_udeg;
    ELSE
        INSERT INTO map_cells AS m (level, cell, has_raw, has_jpeg, is_video, image_count, latitude_sum_udeg, longitude_sum_udeg)
        SELECT level, c.map_cell >> 2 * (24 - level), c.has_raw, c.has_jpeg, c.is_video, sum(c.n),
            sum(c.n * round(c.latitude_deg * 1e6)::bigint), sum(c.n * round(c.longitude_deg * 1e6)::bigint)
        FROM new_images AS i JOIN old_images AS o USING (id),
            LATERAL (VALUES
                (i.map_cell, i.has_raw, i.has_jpeg, i.is_video, i.latitude_deg, i.longitude_deg, 1),
                (o.map_cell, o.has_raw, o.has_jpeg, o.is_video, o.latitude_deg, o.longitude_deg, -1)
            ) AS c (map_cell, has_raw, has_jpeg, is_video, latitude_deg, longitude_deg, n),
            unnest(ARRAY[4, 8, 12, 16]::smallint[]) AS level
        WHERE (i.latitude_deg IS DISTINCT FROM o.latitude_deg OR i.longitude_deg IS DISTINCT FROM o.longitude_deg
            OR i.has_raw <> o.has_raw OR i.has_jpeg <> o.has_jpeg OR i.is_video <> o.is_video) AND c.map_cell IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (level, cell, has_raw, has_jpeg, is_video) DO UPDATE SET image_count = m.image_count + excluded.image_count,
            latitude_sum_udeg = m.latitude_sum_udeg + excluded.latitude_sum_udeg,
            longitude_sum_udeg = m.longitude_sum_udeg + excluded.longitude_sum_udeg;
    END IF;
    RETURN NULL;
END $$;
