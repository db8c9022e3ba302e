-- The extension stays: others may use it.
DROP INDEX IF EXISTS files_name_parts;
