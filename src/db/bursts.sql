-- Pairs of pictures that follow one another in a burst and wait for a decision, the newer one of a stretch of the timeline: $1 and $2 where the stretch begins, $3 how
-- many images it has, $4 seconds between both, $5 how many images behind it are read.
WITH stretch AS MATERIALIZED (
    SELECT i.id, i.captured_at, i.camera_id, i.rating, i.pick, i.is_video, i.is_missing, i.captured_at_source,
        row_number() OVER (ORDER BY i.captured_at DESC, i.id DESC) AS place
    FROM images AS i WHERE (i.captured_at, i.id) < ($1, $2) ORDER BY i.captured_at DESC, i.id DESC LIMIT $3 + $5
),
followed AS (
    SELECT s.id, s.captured_at, s.place, s.pick,
        lead(s.id) OVER w AS older, lead(s.captured_at) OVER w AS older_at, lead(s.pick) OVER w AS older_pick
    FROM stretch AS s
    -- A file's date says when it was copied.
    WHERE s.rating IS DISTINCT FROM -1 AND NOT s.is_video AND NOT s.is_missing AND s.captured_at_source <> 'file-modified'
    WINDOW w AS (PARTITION BY s.camera_id ORDER BY s.captured_at DESC, s.id DESC)
)
SELECT f.id AS newer, f.captured_at AS newer_at, f.older, f.older_at, 1::float8 AS cosine
FROM followed AS f
WHERE f.place <= $3 AND f.older IS NOT NULL AND f.captured_at - f.older_at <= make_interval(secs => $4)
    AND NOT (f.pick = 'picked' AND f.older_pick = 'picked')
