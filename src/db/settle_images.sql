-- After files left them: images without any file go, images whose every file with pixels is missing are marked. $1: image ids.
WITH emptied AS (
    DELETE FROM images AS i
    WHERE i.id = ANY ($1) AND NOT EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id)
)
UPDATE images AS i
SET is_missing = gone.is_missing, updated_at = now()
FROM (
    SELECT f.image_id, bool_and(f.missing_since IS NOT NULL OR f.role = 'SIDECAR') AS is_missing
    FROM files AS f
    WHERE f.image_id = ANY ($1)
    GROUP BY f.image_id
) AS gone
WHERE i.id = gone.image_id AND i.is_missing <> gone.is_missing
