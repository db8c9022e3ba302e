-- The folders below $1 (null: the roots of all vaults), each with what lies below it.
-- Every descendant's newest four images are enough to find the newest four of all.
SELECT f.id, f.vault_id, v.name AS vault_name, f.name, f.rel_path,
    (SELECT count(*) FROM folders AS c WHERE c.parent_id = f.id) AS folder_count,
    (SELECT count(*) FROM images AS i WHERE i.folder_id IN (SELECT d.id FROM folders AS d WHERE d.tree <@ f.tree)) AS image_count,
    coalesce(covers.keys, '{}') AS cover_keys,
    coalesce(covers.images, '{}') AS cover_images
FROM folders AS f
JOIN vaults AS v ON v.id = f.vault_id
LEFT JOIN LATERAL (
    SELECT array_agg(four.picture_key ORDER BY four.captured_at DESC, four.id DESC) AS keys,
        array_agg(four.id ORDER BY four.captured_at DESC, four.id DESC) AS images
    FROM (
        SELECT newest.id, newest.captured_at, newest.picture_key
        FROM folders AS d
        CROSS JOIN LATERAL (
            SELECT i.id, i.captured_at, i.picture_key FROM images AS i
            WHERE i.folder_id = d.id AND i.picture_key IS NOT NULL
            ORDER BY i.captured_at DESC, i.id DESC LIMIT 4
        ) AS newest
        WHERE d.tree <@ f.tree
        ORDER BY newest.captured_at DESC, newest.id DESC LIMIT 4
    ) AS four
) AS covers ON true
WHERE f.parent_id IS NOT DISTINCT FROM $1
ORDER BY lower(f.name), f.name, v.name, f.id
