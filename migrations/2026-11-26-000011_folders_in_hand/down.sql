ALTER TABLE vaults DROP COLUMN folders_in_hand;
