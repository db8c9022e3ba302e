DROP INDEX images_titled;
DROP INDEX images_rated;
CREATE INDEX images_rated ON images (rating, captured_at DESC, id DESC) WHERE rating <> 0;
