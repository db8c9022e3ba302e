-- Images by vault, folder and name, as a dry run lists them. Put in between the marks: their number, and which are meant.
SELECT
    /**/ AS image_index,
    i.base_name, d.rel_path AS subdirectory, i.file_count, i.suffixes, i.total_size_bytes, i.has_raw, i.has_jpeg, i.has_sidecar,
    i.captured_at, i.captured_at_source, i.captured_offset_minutes, nullif(c.make, '') AS camera_make,
    nullif(c.model, '') AS camera_model, l.name AS lens, i.iso, i.f_number, i.exposure_s, i.focal_length_mm, i.latitude_deg,
    i.longitude_deg, i.altitude_m, i.width_px, i.height_px, i.orientation, i.title, i.description, i.keywords, i.rating
FROM images AS i
JOIN folders AS d ON d.id = i.folder_id
JOIN vaults AS v ON v.id = i.vault_id
LEFT JOIN cameras AS c ON c.id = i.camera_id
LEFT JOIN lenses AS l ON l.id = i.lens_id
WHERE /**/
ORDER BY v.name COLLATE "C", d.rel_path_bytes, i.base_name COLLATE "C", i.id
