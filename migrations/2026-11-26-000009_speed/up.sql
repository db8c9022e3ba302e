-- Few images are rated and few have a title: what filters ask beside that is read from the index alone, and scans hardly pay for it.
DROP INDEX images_rated;
CREATE INDEX images_rated ON images (rating, captured_at DESC, id DESC)
    INCLUDE (map_cell, latitude_deg, longitude_deg, camera_id, lens_id, iso, has_raw, has_jpeg, is_video) WHERE rating <> 0;
CREATE INDEX images_titled ON images (captured_at DESC, id DESC) WHERE title <> '';
