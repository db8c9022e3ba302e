-- Pairs of images that are alike and wait for a decision, the newer one of a stretch of the timeline: $1 network, $2 and $3 where the stretch
-- begins, $4 how many images it has, $5 the largest distance, $6 seconds between both, $7 how many that come next each is compared with.
WITH stretch AS MATERIALIZED (
    SELECT i.id, i.captured_at, i.rating, i.pick, i.is_missing
    FROM images AS i WHERE (i.captured_at, i.id) < ($2, $3) ORDER BY i.captured_at DESC, i.id DESC LIMIT $4
)
SELECT a.id AS newer, a.captured_at AS newer_at, b.id AS older, b.captured_at AS older_at, 1 - (v.vector <=> w.vector) AS cosine
FROM stretch AS a
CROSS JOIN LATERAL (SELECT e.vector FROM embeddings AS e WHERE e.network_id = $1 AND e.image_id = a.id OFFSET 0) AS v
CROSS JOIN LATERAL (
    SELECT i.id, i.captured_at, i.pick FROM images AS i
    WHERE (i.captured_at, i.id) < (a.captured_at, a.id) AND i.captured_at >= a.captured_at - make_interval(secs => $6)
        AND i.rating IS DISTINCT FROM -1 AND NOT i.is_missing
    ORDER BY i.captured_at DESC, i.id DESC LIMIT $7
) AS b
CROSS JOIN LATERAL (SELECT e.vector FROM embeddings AS e WHERE e.network_id = $1 AND e.image_id = b.id OFFSET 0) AS w
WHERE a.rating IS DISTINCT FROM -1 AND NOT a.is_missing AND NOT (a.pick = 'picked' AND b.pick = 'picked') AND v.vector <=> w.vector <= $5
