-- One image with all that its page and the API tell.
SELECT i.id, i.vault_id, v.name AS vault_name, v.offline_since AS vault_offline_since, i.folder_id, f.rel_path AS folder_path,
    i.base_name, i.captured_at, i.captured_at_source, i.captured_offset_minutes, c.name AS camera, l.name AS lens,
    i.iso, i.f_number, i.exposure_s, i.focal_length_mm, i.latitude_deg, i.longitude_deg, i.altitude_m,
    i.width_px, i.height_px, i.orientation, i.ratio_milli, i.title, i.description, i.rating, i.pick, i.color_label,
    i.city, i.state, i.country, i.country_code, i.gps_city, i.gps_state, i.gps_country, i.gps_country_code, i.keywords, i.hierarchical_keywords,
    i.file_count, i.total_size_bytes, i.suffixes, i.has_raw, i.has_jpeg, i.has_sidecar, i.is_video, i.is_missing,
    i.grouping_rule, i.picture_key, p.placeholder, p.error AS picture_error
FROM images AS i
JOIN vaults AS v ON v.id = i.vault_id
JOIN folders AS f ON f.id = i.folder_id
LEFT JOIN cameras AS c ON c.id = i.camera_id
LEFT JOIN lenses AS l ON l.id = i.lens_id
LEFT JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key
WHERE i.id = $1
