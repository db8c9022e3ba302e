-- Files by vault, folder and name, with the number that their image has in export_images.sql. Put in between the marks: that number, which
-- images are meant, this host, and which files are meant.
WITH numbered AS (
    SELECT i.id, i.base_name, i.is_missing, /**/ AS image_index
    FROM images AS i
    JOIN folders AS d ON d.id = i.folder_id
    JOIN vaults AS v ON v.id = i.vault_id
    WHERE /**/
)
SELECT
    n.image_index, n.base_name, d.rel_path AS subdirectory, d.rel_path_bytes, m.path AS mount, f.name_bytes, f.name AS filename,
    f.size_bytes, f.modified_at_ns, f.format, f.role, (f.facts ->> 'width_px')::int AS width_px,
    (f.facts ->> 'height_px')::int AS height_px, f.fingerprint, f.error, v.name AS vault_name,
    CASE WHEN v.offline_since IS NOT NULL THEN coalesce(v.offline_reason, 'it cannot be read') END AS offline,
    f.missing_since IS NOT NULL AS is_missing
FROM files AS f
JOIN folders AS d ON d.id = f.folder_id
JOIN vaults AS v ON v.id = f.vault_id
LEFT JOIN vault_mounts AS m ON m.vault_id = f.vault_id AND m.host = /**/
LEFT JOIN numbered AS n ON n.id = f.image_id
WHERE /**/
ORDER BY v.name COLLATE "C", d.rel_path_bytes, f.name_bytes
