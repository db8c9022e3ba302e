COMMENT ON COLUMN images.lens_id IS NULL;
COMMENT ON COLUMN images.camera_id IS NULL;
ALTER TABLE images ADD FOREIGN KEY (lens_id) REFERENCES lenses (id);
ALTER TABLE images ADD FOREIGN KEY (camera_id) REFERENCES cameras (id);
ALTER TABLE facet_counts DROP COLUMN known_lens_id, DROP COLUMN known_camera_id;
COMMENT ON COLUMN images.vault_id IS NULL;
COMMENT ON COLUMN files.vault_id IS NULL;
ALTER TABLE files ADD FOREIGN KEY (vault_id) REFERENCES vaults (id) ON DELETE CASCADE;
ALTER TABLE images ADD FOREIGN KEY (vault_id) REFERENCES vaults (id) ON DELETE CASCADE;
