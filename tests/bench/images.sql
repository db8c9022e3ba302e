-- Images :first to :last with a file and a picture each, as a scan of twenty years in random order would have left them:
-- seven in a hundred lie in August 2019. Folders, cameras and lenses are made with the first.
-- `placed` says how many have a place, `latitude` and `longitude` where, from the columns of `made`; places have their names already.
\set ON_ERROR_STOP on
\if :{?placed}
\else
\set placed 0.6
\set latitude '48 + chance'
\set longitude '11 + light'
\endif
BEGIN;
INSERT INTO vaults (name) VALUES ('bench') ON CONFLICT DO NOTHING;
INSERT INTO cameras (make, model, name) SELECT 'Maker', 'M' || n, 'Maker M' || n FROM generate_series(1, 12) AS n ON CONFLICT DO NOTHING;
INSERT INTO lenses (name) SELECT 'Lens ' || n || ' mm' FROM generate_series(1, 25) AS n ON CONFLICT DO NOTHING;
INSERT INTO folders (vault_id, tree, rel_path_bytes, rel_path, name)
SELECT id, 'f1', '', '', '' FROM vaults WHERE NOT EXISTS (SELECT FROM folders);
INSERT INTO folders (vault_id, parent_id, tree, rel_path_bytes, rel_path, name)
SELECT root.vault_id, root.id, ('f1.f' || n)::ltree, convert_to('Trip ' || n, 'UTF8'), 'Trip ' || n, 'Trip ' || n
FROM generate_series(2, 2001) AS n, (SELECT id, vault_id FROM folders WHERE parent_id IS NULL) AS root
WHERE NOT EXISTS (SELECT FROM folders WHERE parent_id IS NOT NULL);

CREATE TEMPORARY TABLE made ON COMMIT DROP AS
SELECT n AS id, (SELECT id FROM vaults) AS vault_id, f.id AS folder_id, 'IMG_' || n AS name, md5(n::text) AS key, r.*
FROM generate_series(:first, :last) AS n,
    LATERAL (
        SELECT
            date_trunc('second', CASE WHEN random() < 0.07 THEN timestamp '2019-08-01' + random() * interval '31 days'
                ELSE timestamp '2005-01-01' + random() * interval '7300 days' END + n * interval '0 s') AS captured_at,
            random() < 0.01 AS has_dog, random() < 0.02 AS has_vehicle, random() < 0.03 AS has_title, random() AS light,
            random() < 0.3 AS has_raw, random() < 0.02 AS is_video, random() < :placed AS has_place, random() AS chance, (random() * 2000)::int AS at
    ) AS r
    JOIN LATERAL (SELECT 2 + r.at % 2000 AS number) AS place ON true
    JOIN folders AS f ON f.tree = ('f1.f' || place.number)::ltree;

INSERT INTO images (
    id, vault_id, folder_id, base_name, captured_at, captured_at_source, camera_id, lens_id, iso, f_number, exposure_s, focal_length_mm,
    latitude_deg, longitude_deg, width_px, height_px, orientation, ratio_milli, title, rating, keywords, hierarchical_keywords, file_count, total_size_bytes, suffixes,
    has_raw, has_jpeg, has_sidecar, is_video, grouping_rule, picture_file_id, picture_key, gps_city, gps_country, gps_edition, search_words
)
SELECT id, vault_id, folder_id, name, captured_at, 'EXIF:DateTimeOriginal', 1 + (chance * 1000)::int % 12,
    CASE WHEN id % 5 > 0 THEN 1 + (chance * 100000)::int % 25 END, (100 * power(2, floor(power(light, 3) * 10)))::int, 2.8, 0.008, 35,
    CASE WHEN has_place THEN :latitude END, CASE WHEN has_place THEN :longitude END, 4000, 3000, 1,
    CASE WHEN id % 4 = 0 THEN 667 ELSE 1500 END, CASE WHEN has_title THEN 'Evening at the lake ' || id % 1000 END,
    CASE WHEN id % 10 = 0 THEN 1 + (id / 10) % 5 WHEN id % 101 = 0 THEN -1 END,
    CASE WHEN has_vehicle THEN ARRAY['trip', 'vehicle'] ELSE ARRAY['trip'] END,
    CASE WHEN has_dog THEN ARRAY['animal|dog'] ELSE '{}'::text[] END, 1, 5000000, ARRAY['.jpg'],
    has_raw, true, false, is_video, 'stem', id, key, CASE WHEN has_place THEN 'Town ' || folder_id END,
    CASE WHEN has_place THEN 'Country ' || folder_id % 60 END, CASE WHEN has_place THEN 32767 END, array_to_tsvector(string_to_array(lower(name), '_') || ARRAY['trip', 'jpg', folder_id::text]
        || CASE WHEN has_title THEN ARRAY['evening', 'at', 'the', 'lake', (id % 1000)::text] ELSE '{}'::text[] END
        || CASE WHEN has_vehicle THEN ARRAY['vehicle'] ELSE '{}'::text[] END || CASE WHEN has_dog THEN ARRAY['animal', 'dog'] ELSE '{}'::text[] END)
FROM made;
INSERT INTO files (id, vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint)
SELECT id, vault_id, folder_id, id, convert_to(name || '.jpg', 'UTF8'), name || '.jpg', 'jpeg', 'ORIGINAL', 5000000, 1564835580000000000,
    decode(key, 'hex')
FROM made;
INSERT INTO pictures (image_id, key, placeholder, width_px, height_px, source)
SELECT id, key, decode(substr(key || key, 1, 50), 'hex'), 2048, 1536, 'full' FROM made;
COMMIT;
