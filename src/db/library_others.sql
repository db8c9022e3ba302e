-- What stands out: each count from an index of its own. A copy is a file with pixels whose size and content another one has too.
WITH contents AS (
    SELECT fingerprint FROM files
    WHERE fingerprint IS NOT NULL AND role <> 'SIDECAR' AND missing_since IS NULL AND image_id IS NOT NULL
    GROUP BY fingerprint HAVING count(*) > 1
),
copies AS (
    SELECT f.image_id, f.size_bytes, row_number() OVER (PARTITION BY f.fingerprint) AS number
    FROM contents JOIN files AS f USING (fingerprint)
    WHERE f.role <> 'SIDECAR' AND f.missing_since IS NULL AND f.image_id IS NOT NULL
)
SELECT
    (SELECT count(*) FROM images WHERE tag_names <> '{}') AS tagged,
    (SELECT count(*) FROM images WHERE is_missing) AS missing,
    (SELECT count(DISTINCT image_id) FROM files WHERE error IS NOT NULL AND image_id IS NOT NULL) AS broken,
    (SELECT count(DISTINCT image_id) FROM copies) AS duplicates,
    (SELECT coalesce(sum(size_bytes) FILTER (WHERE number > 1), 0)::bigint FROM copies) AS duplicate_bytes
