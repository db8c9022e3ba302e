-- A second image with the values of $1; its files are counted afterwards.
INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, captured_offset_minutes, camera_id, lens_id, iso,
    f_number, exposure_s, focal_length_mm, latitude_deg, longitude_deg, altitude_m, width_px, height_px, orientation, ratio_milli,
    title, description, rating, pick, color_label, city, state, country, country_code, gps_city, gps_state, gps_country, gps_country_code,
    gps_edition, keywords, hierarchical_keywords, file_count, total_size_bytes, suffixes, has_raw, has_jpeg,
    has_sidecar, is_video, is_missing, grouping_rule, search_words)
SELECT vault_id, folder_id, base_name, captured_at, captured_at_source, captured_offset_minutes, camera_id, lens_id, iso,
    f_number, exposure_s, focal_length_mm, latitude_deg, longitude_deg, altitude_m, width_px, height_px, orientation, ratio_milli,
    title, description, rating, pick, color_label, city, state, country, country_code, gps_city, gps_state, gps_country, gps_country_code,
    gps_edition, keywords, hierarchical_keywords, 0, 0, '{}', false, false,
    false, false, is_missing, 'person', search_words
FROM images WHERE id = $1
RETURNING id
