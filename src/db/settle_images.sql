-- After files left them: images without any file go, unless they have a history; images whose every file with pixels is missing, or that
-- have no file left, are marked. What a person drew or decided on is history too. $1: image ids.
WITH asked AS (
    SELECT i.id, count(f.id) = 0 AS is_empty,
        coalesce(bool_and(f.missing_since IS NOT NULL OR f.role = 'SIDECAR'), true) AS is_missing,
        EXISTS (SELECT FROM edits AS e WHERE e.image_id = i.id)
            OR EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id)
            OR EXISTS (SELECT FROM regions AS r WHERE r.image_id = i.id AND (r.origin = 'person' OR r.decision IS NOT NULL)) AS has_history
    FROM images AS i LEFT JOIN files AS f ON f.image_id = i.id
    WHERE i.id = ANY ($1)
    GROUP BY i.id
), emptied AS (
    DELETE FROM images AS i USING asked AS a WHERE i.id = a.id AND a.is_empty AND NOT a.has_history
)
UPDATE images AS i
SET is_missing = a.is_missing, updated_at = now()
FROM asked AS a
WHERE i.id = a.id AND i.is_missing <> a.is_missing AND (a.has_history OR NOT a.is_empty)
