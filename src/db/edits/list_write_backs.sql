-- The fields to be written of the next images. $1: vaults; $2: after this image; $3: most images.
WITH due AS (
    SELECT e.* FROM image_edits AS e
    WHERE e.state IN ('pending', 'failed') AND e.image_id > $2
        AND (e.state = 'pending' OR e.updated_at + least(interval '1 minute' * power(2, least(e.attempts - 1, 20)), interval '6 hours') <= now())
), chosen AS (
    SELECT DISTINCT d.image_id
    FROM due AS d
    JOIN images AS i ON i.id = d.image_id
    JOIN vaults AS v ON v.id = i.vault_id
    WHERE i.vault_id = ANY ($1) AND NOT i.is_missing AND v.offline_since IS NULL
    ORDER BY d.image_id
    LIMIT $3
)
SELECT d.image_id, i.vault_id, i.base_name, d.field, d.value, d.base, d.attempts
FROM chosen AS c
JOIN due AS d ON d.image_id = c.image_id
JOIN images AS i ON i.id = c.image_id
ORDER BY d.image_id, d.field
