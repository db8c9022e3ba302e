-- Makes a folder below its parent, or finds it when another process was faster.
-- $1 vault, $2 parent or null, $3 exact path, $4 path in NFC, $5 name in NFC.
WITH fresh AS (
    SELECT nextval(pg_get_serial_sequence('folders', 'id')) AS id
)
INSERT INTO folders (id, vault_id, parent_id, tree, rel_path_bytes, rel_path, name)
OVERRIDING SYSTEM VALUE
SELECT
    fresh.id, $1, $2,
    COALESCE((SELECT tree FROM folders WHERE id = $2), ''::ltree) || ('f' || fresh.id)::ltree,
    $3, $4, $5
FROM fresh
ON CONFLICT (vault_id, rel_path_bytes) DO UPDATE SET rel_path = excluded.rel_path
RETURNING id
