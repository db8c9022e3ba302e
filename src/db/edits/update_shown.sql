-- Shows other values of what people change. $1: JSON array of Shown; search_words may be null where no word changed.
UPDATE images AS i SET
    rating = r.rating, pick = r.pick, color_label = r.color_label, title = r.title, description = r.description,
    keywords = r.keywords, hierarchical_keywords = r.hierarchical_keywords, latitude_deg = r.latitude_deg,
    longitude_deg = r.longitude_deg, altitude_m = r.altitude_m, captured_at = r.captured_at,
    captured_at_source = r.captured_at_source, captured_offset_minutes = r.captured_offset_minutes, city = r.city, state = r.state,
    country = r.country, country_code = r.country_code, gps_city = r.gps_city, gps_state = r.gps_state, gps_country = r.gps_country,
    gps_country_code = r.gps_country_code, gps_edition = r.gps_edition,
    search_words = coalesce(array_to_tsvector(r.search_words), i.search_words), updated_at = now()
FROM json_to_recordset($1::json) AS r (
    id bigint, rating smallint, pick text, color_label text, title text, description text, keywords text[],
    hierarchical_keywords text[], latitude_deg float8, longitude_deg float8, altitude_m float8, captured_at timestamp,
    captured_at_source text, captured_offset_minutes smallint, city text, state text, country text, country_code text,
    gps_city text, gps_state text, gps_country text, gps_country_code text, gps_edition smallint, search_words text[]
)
WHERE i.id = r.id
