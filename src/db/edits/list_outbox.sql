-- A page of the outbox. $1: states; $2, $3: after this image and field; $4: most entries.
SELECT e.image_id, i.base_name, v.name AS vault_name, i.picture_key, f.path, e.field, e.value, e.base, e.state, e.outside, e.reason, e.attempts,
    e.updated_at
FROM image_edits AS e
JOIN images AS i ON i.id = e.image_id
JOIN vaults AS v ON v.id = i.vault_id
-- As the writer chooses, as far as the library knows the folder: the sidecar of the first file with pixels, another one, or that file.
LEFT JOIN LATERAL (
    SELECT concat_ws('/', nullif(d.rel_path, ''), f.name) AS path
    FROM files AS f
    JOIN folders AS d ON d.id = f.folder_id
    WHERE f.image_id = e.image_id
    ORDER BY f.missing_since IS NOT NULL, f.format <> 'xmp',
        f.format = 'xmp' AND NOT EXISTS (
            SELECT FROM files AS o WHERE o.image_id = f.image_id AND o.role = 'ORIGINAL' AND o.folder_id = f.folder_id AND f.name = o.name || '.xmp'
        ),
        array_position(ARRAY['ORIGINAL', 'COVER', 'EXPORT', 'UNKNOWN', 'DERIVATIVE', 'SIDECAR'], f.role), f.name
    LIMIT 1
) AS f ON true
WHERE e.state = ANY ($1) AND (e.image_id, e.field) > ($2, $3)
ORDER BY e.image_id, e.field
LIMIT $4
