ALTER TABLE vaults ADD COLUMN folders_in_hand bytea[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN vaults.folders_in_hand IS 'folders.rel_path_bytes where sidecars are being written: what a killed writer left there is removed by the next one.';
