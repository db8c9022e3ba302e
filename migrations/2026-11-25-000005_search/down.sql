DROP TABLE searches;
DROP INDEX files_rare_formats;
DROP INDEX files_versions;
DROP INDEX images_with_sidecar;
DROP INDEX images_missing;
DROP INDEX images_place;
DROP INDEX images_month_day;
DROP FUNCTION month_day(timestamp);
DROP TRIGGER images_updated_tags ON images;
DROP TRIGGER images_deleted_tags ON images;
DROP TRIGGER images_inserted_tags ON images;
DROP FUNCTION count_tags();
DROP TABLE tags;
DROP INDEX images_tags;
DROP FUNCTION tag_names(text[]);
DROP FUNCTION tag_levels(text[]);
-- Words stay without accents; the next scan of a file files them anew.
DROP FUNCTION fold(text);
