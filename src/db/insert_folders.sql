-- Makes folders, also below one another.
-- Arrays of equal length: $1 id, $2 vault, $3 parent or null, $4 exact path, $5 path in NFC, $6 name in NFC,
-- $7 digest of the listing or null.
WITH RECURSIVE fresh AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::bytea[])
        AS f (id, vault_id, parent_id, rel_path_bytes, rel_path, name, listing_digest)
),
placed AS (
    SELECT f.*, COALESCE(p.tree, ''::ltree) || ('f' || f.id)::ltree AS tree
    FROM fresh AS f LEFT JOIN folders AS p ON p.id = f.parent_id
    WHERE f.parent_id IS NULL OR p.id IS NOT NULL
    UNION ALL
    SELECT f.*, p.tree || ('f' || f.id)::ltree
    FROM fresh AS f JOIN placed AS p ON p.id = f.parent_id
)
INSERT INTO folders (id, vault_id, parent_id, tree, rel_path_bytes, rel_path, name, listing_digest)
OVERRIDING SYSTEM VALUE
SELECT id, vault_id, parent_id, tree, rel_path_bytes, rel_path, name, listing_digest FROM placed
