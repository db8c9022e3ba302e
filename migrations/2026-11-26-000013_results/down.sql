-- The extension stays: others may use it.
DROP INDEX images_unshown;
DROP INDEX pictures_failed;
DROP INDEX pictures_made_at;
DROP TABLE IF EXISTS embeddings;
DROP TABLE regions;
DROP TABLE image_results;
DROP FUNCTION count_results;
DROP TABLE networks;
