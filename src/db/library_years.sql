-- Images by local year and kind, from the index images_day alone. By days first: so few groups are kept in memory, unsorted.
SELECT
    date_part('year', day)::int AS year,
    CASE WHEN is_video THEN 'video' WHEN has_raw AND has_jpeg THEN 'raw+jpeg' WHEN has_raw THEN 'raw' WHEN has_jpeg THEN 'jpeg' ELSE 'other' END
        AS kind,
    sum(image_count)::bigint AS images, sum(file_count)::bigint AS files, sum(bytes)::bigint AS bytes
FROM (
    SELECT day, is_video, has_raw, has_jpeg, count(*) AS image_count, sum(file_count) AS file_count, sum(total_size_bytes) AS bytes
    FROM images GROUP BY 1, 2, 3, 4
) AS days
GROUP BY 1, 2 ORDER BY 1
