-- Pairs of images that are alike, the newer one of a stretch of the timeline: $1 network, $2 and $3 where the stretch begins, $4 how many images
-- it has, $5 the largest distance, $6 seconds between both, $7 how many that come next each is compared with.
WITH stretch AS MATERIALIZED (
    SELECT i.id, i.captured_at FROM images AS i WHERE (i.captured_at, i.id) < ($2, $3) ORDER BY i.captured_at DESC, i.id DESC LIMIT $4
)
SELECT a.id AS newer, a.captured_at AS newer_at, b.id AS older, b.captured_at AS older_at, 1 - (v.vector <=> w.vector) AS cosine
FROM stretch AS a
CROSS JOIN LATERAL (SELECT e.vector FROM embeddings AS e WHERE e.network_id = $1 AND e.image_id = a.id OFFSET 0) AS v
CROSS JOIN LATERAL (
    SELECT i.id, i.captured_at FROM images AS i
    WHERE (i.captured_at, i.id) < (a.captured_at, a.id) AND i.captured_at >= a.captured_at - make_interval(secs => $6)
    ORDER BY i.captured_at DESC, i.id DESC LIMIT $7
) AS b
CROSS JOIN LATERAL (SELECT e.vector FROM embeddings AS e WHERE e.network_id = $1 AND e.image_id = b.id OFFSET 0) AS w
WHERE v.vector <=> w.vector <= $5
UNION ALL
-- A file of both is the same.
SELECT DISTINCT a.id, a.captured_at, b.id, b.captured_at, 1::float8
FROM stretch AS a
JOIN files AS f ON f.image_id = a.id
CROSS JOIN LATERAL (
    SELECT i.id, i.captured_at FROM files AS o JOIN images AS i ON i.id = o.image_id
    WHERE o.fingerprint = f.fingerprint AND o.role <> 'SIDECAR' AND o.missing_since IS NULL AND (i.captured_at, i.id) < (a.captured_at, a.id)
    OFFSET 0
) AS b
WHERE f.fingerprint IS NOT NULL AND f.role <> 'SIDECAR' AND f.missing_since IS NULL
