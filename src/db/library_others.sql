-- What stands out: each count from an index of its own. A copy is a file with pixels whose size and content another one has too.
WITH contents AS (
    SELECT fingerprint FROM files
    WHERE fingerprint IS NOT NULL AND role <> 'SIDECAR' AND missing_since IS NULL AND image_id IS NOT NULL
    GROUP BY fingerprint HAVING count(*) > 1 OFFSET 0
),
-- Few are copied, which the planner cannot know: each content looks up its files.
copies AS (
    SELECT f.image_id, f.size_bytes, row_number() OVER (PARTITION BY fingerprint) AS number
    FROM contents CROSS JOIN LATERAL (
        SELECT f.image_id, f.size_bytes FROM files AS f
        WHERE f.fingerprint = contents.fingerprint AND f.role <> 'SIDECAR' AND f.missing_since IS NULL AND f.image_id IS NOT NULL OFFSET 0
    ) AS f
)
SELECT
    (SELECT count(*) FROM images WHERE tag_names <> '{}') AS tagged,
    (SELECT count(*) FROM images WHERE is_missing) AS missing,
    (SELECT count(DISTINCT image_id) FROM files WHERE error IS NOT NULL AND image_id IS NOT NULL) AS broken,
    (SELECT count(DISTINCT image_id) FROM copies) AS duplicates,
    (SELECT coalesce(sum(size_bytes) FILTER (WHERE number > 1), 0)::bigint FROM copies) AS duplicate_bytes
