-- Writes many images at once that are known, or were when the scan read them. $1: JSON array of ImageWrite.
INSERT INTO images (
    id, vault_id, folder_id, base_name, captured_at, captured_at_source, captured_offset_minutes, camera_id, lens_id, iso, f_number,
    exposure_s, focal_length_mm, latitude_deg, longitude_deg, altitude_m, width_px, height_px, orientation, ratio_milli, title,
    description, rating, keywords, hierarchical_keywords, file_count, total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar,
    is_video, is_missing, grouping_rule, picture_file_id, picture_key, search_words, pick, color_label, city, state, country, country_code,
    gps_city, gps_state, gps_country, gps_country_code, gps_edition
)
SELECT
    r.id, r.vault_id, r.folder_id, r.base_name, r.captured_at, r.captured_at_source, r.captured_offset_minutes, r.camera_id, r.lens_id, r.iso,
    r.f_number, r.exposure_s, r.focal_length_mm, r.latitude_deg, r.longitude_deg, r.altitude_m, r.width_px, r.height_px, r.orientation,
    r.ratio_milli, r.title, r.description, r.rating, r.keywords, r.hierarchical_keywords, r.file_count, r.total_size_bytes, r.suffixes,
    r.has_raw, r.has_jpeg, r.has_sidecar, r.is_video, false, r.grouping_rule, r.picture_file_id, r.picture_key,
    array_to_tsvector(r.search_words), r.pick, r.color_label, r.city, r.state, r.country, r.country_code,
    r.gps_city, r.gps_state, r.gps_country, r.gps_country_code, r.gps_edition
FROM json_to_recordset($1::json) AS r (
    id bigint, vault_id bigint, folder_id bigint, base_name text, captured_at timestamp, captured_at_source text,
    captured_offset_minutes smallint,
    camera_id int, lens_id int, iso int, f_number float8, exposure_s float8, focal_length_mm float8, latitude_deg float8,
    longitude_deg float8, altitude_m float8, width_px int, height_px int, orientation smallint, ratio_milli int, title text,
    description text, rating smallint, keywords text[], hierarchical_keywords text[], file_count int, total_size_bytes bigint,
    suffixes text[], has_raw bool, has_jpeg bool, has_sidecar bool, is_video bool, grouping_rule text, picture_file_id bigint,
    picture_key text, search_words text[], pick text, color_label text, city text, state text, country text, country_code text,
    gps_city text, gps_state text, gps_country text, gps_country_code text, gps_edition smallint
)
-- In the order in which edits take hold of them too, so that nobody waits in a ring.
ORDER BY r.id
ON CONFLICT (id) DO UPDATE SET
    vault_id = excluded.vault_id, folder_id = excluded.folder_id, base_name = excluded.base_name, captured_at = excluded.captured_at,
    captured_at_source = excluded.captured_at_source, captured_offset_minutes = excluded.captured_offset_minutes,
    camera_id = excluded.camera_id, lens_id = excluded.lens_id, iso = excluded.iso, f_number = excluded.f_number,
    exposure_s = excluded.exposure_s, focal_length_mm = excluded.focal_length_mm, latitude_deg = excluded.latitude_deg,
    longitude_deg = excluded.longitude_deg, altitude_m = excluded.altitude_m, width_px = excluded.width_px,
    height_px = excluded.height_px, orientation = excluded.orientation, ratio_milli = excluded.ratio_milli, title = excluded.title,
    description = excluded.description, rating = excluded.rating, keywords = excluded.keywords,
    hierarchical_keywords = excluded.hierarchical_keywords, file_count = excluded.file_count,
    total_size_bytes = excluded.total_size_bytes, suffixes = excluded.suffixes, has_raw = excluded.has_raw,
    has_jpeg = excluded.has_jpeg, has_sidecar = excluded.has_sidecar, is_video = excluded.is_video, is_missing = false,
    grouping_rule = excluded.grouping_rule, picture_file_id = excluded.picture_file_id, picture_key = excluded.picture_key,
    search_words = excluded.search_words, pick = excluded.pick, color_label = excluded.color_label, city = excluded.city,
    state = excluded.state, country = excluded.country, country_code = excluded.country_code, gps_city = excluded.gps_city,
    gps_state = excluded.gps_state, gps_country = excluded.gps_country, gps_country_code = excluded.gps_country_code,
    gps_edition = excluded.gps_edition, updated_at = now()
