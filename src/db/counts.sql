-- Everything counted once. Images come from the timeline's table; pictures are compared with what they should be.
SELECT t.images, f.files, f.files_missing, f.files_broken, p.pictures_lacking, p.pictures_failed,
    (SELECT count(*) FROM scans WHERE state = 'running' AND updated_at > now() - interval '30 seconds') AS scans_running,
    (SELECT count(*) FROM vaults WHERE offline_since IS NOT NULL) AS vaults_offline
FROM (SELECT coalesce(sum(image_count), 0)::bigint AS images FROM timeline_days) AS t,
    (
        SELECT count(*) AS files, count(missing_since) AS files_missing, count(error) AS files_broken FROM files
    ) AS f,
    (
        SELECT count(*) FILTER (WHERE p.key IS NULL) AS pictures_lacking,
            count(*) FILTER (WHERE p.error IS NOT NULL) AS pictures_failed
        FROM images AS i LEFT JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key
        WHERE i.picture_key IS NOT NULL
    ) AS p
