-- Makes folders below parents that are there already, or finds those that another process was faster to make.
-- $1 vault; arrays of equal length: $2 parent or null, $3 exact path, $4 path in NFC, $5 name in NFC.
WITH wanted AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('folders', 'id')) AS id, w.*
    FROM unnest($2::bigint[], $3::bytea[], $4::text[], $5::text[]) AS w (parent_id, rel_path_bytes, rel_path, name)
)
INSERT INTO folders (id, vault_id, parent_id, tree, rel_path_bytes, rel_path, name)
OVERRIDING SYSTEM VALUE
SELECT
    w.id, $1, w.parent_id,
    COALESCE(p.tree, ''::ltree) || ('f' || w.id)::ltree,
    w.rel_path_bytes, w.rel_path, w.name
FROM wanted AS w LEFT JOIN folders AS p ON p.id = w.parent_id
ON CONFLICT (vault_id, rel_path_bytes) DO UPDATE SET rel_path = excluded.rel_path
RETURNING id, rel_path_bytes
