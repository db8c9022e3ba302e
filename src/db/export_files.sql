-- Every file that is there, by vault, folder and name, with the index its image has in export_images.sql. $1: this host.
WITH numbered AS (
    SELECT
        i.id, i.base_name,
        row_number() OVER (ORDER BY v.name COLLATE "C", d.rel_path_bytes, i.base_name COLLATE "C", i.id) - 1 AS image_index
    FROM images AS i
    JOIN folders AS d ON d.id = i.folder_id
    JOIN vaults AS v ON v.id = i.vault_id
    WHERE NOT i.is_missing
)
SELECT
    n.image_index, n.base_name, d.rel_path AS subdirectory, d.rel_path_bytes, m.path AS mount, f.name_bytes, f.name AS filename,
    f.size_bytes, f.modified_at_ns, f.format, f.role, (f.facts ->> 'width_px')::int AS width_px,
    (f.facts ->> 'height_px')::int AS height_px, f.fingerprint, f.error
FROM files AS f
JOIN folders AS d ON d.id = f.folder_id
JOIN vaults AS v ON v.id = f.vault_id
LEFT JOIN vault_mounts AS m ON m.vault_id = f.vault_id AND m.host = $1
LEFT JOIN numbered AS n ON n.id = f.image_id
WHERE f.missing_since IS NULL
ORDER BY v.name COLLATE "C", d.rel_path_bytes, f.name_bytes
