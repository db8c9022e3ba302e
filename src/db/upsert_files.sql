-- Writes many files at once that are known, or were when the scan read them. $1: JSON array of FileWrite.
INSERT INTO files (
    id, vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint, facts, error
)
SELECT
    r.id, r.vault_id, r.folder_id, r.image_id, r.name_bytes, r.name, r.format, r.role, r.size_bytes, r.modified_at_ns,
    r.fingerprint, r.facts, r.error
FROM json_to_recordset($1::json) AS r (
    id bigint, vault_id bigint, folder_id bigint, image_id bigint, name_bytes bytea, name text, format text, role text, size_bytes bigint,
    modified_at_ns bigint, fingerprint bytea, facts jsonb, error text
)
ON CONFLICT (id) DO UPDATE SET
    vault_id = excluded.vault_id, folder_id = excluded.folder_id, image_id = excluded.image_id, name_bytes = excluded.name_bytes,
    name = excluded.name, format = excluded.format, role = excluded.role, size_bytes = excluded.size_bytes,
    modified_at_ns = excluded.modified_at_ns, fingerprint = excluded.fingerprint, facts = excluded.facts, error = excluded.error,
    missing_since = NULL
