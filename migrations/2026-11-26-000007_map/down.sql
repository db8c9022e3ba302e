DROP TRIGGER images_updated_places ON images;
DROP TRIGGER images_deleted_places ON images;
DROP TRIGGER images_inserted_places ON images;
DROP FUNCTION count_places();
DROP TABLE place_counts;
DROP TRIGGER images_updated_map ON images;
DROP TRIGGER images_deleted_map ON images;
DROP TRIGGER images_inserted_map ON images;
DROP FUNCTION count_map_cells();
DROP TABLE map_cells;
DROP INDEX images_map;
ALTER TABLE images DROP COLUMN map_cell;
DROP FUNCTION map_cell(float8, float8);
DROP INDEX images_country_code;
DROP INDEX images_country;
DROP INDEX images_state;
DROP INDEX images_city;
CREATE INDEX images_city ON images (city, captured_at DESC, id DESC) WHERE city IS NOT NULL;
CREATE INDEX images_state ON images (state, captured_at DESC, id DESC) WHERE state IS NOT NULL;
CREATE INDEX images_country ON images (country, captured_at DESC, id DESC) WHERE country IS NOT NULL;
CREATE INDEX images_country_code ON images (country_code) WHERE country_code IS NOT NULL;
DROP INDEX images_gps_edition;
ALTER TABLE images
    DROP COLUMN gps_edition,
    DROP COLUMN gps_country_code,
    DROP COLUMN gps_country,
    DROP COLUMN gps_state,
    DROP COLUMN gps_city;
