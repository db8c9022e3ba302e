-- Forgets values that the vault says already and hm never wrote. $1: JSON array of {image_id, field}.
DELETE FROM image_edits AS e
USING json_to_recordset($1::json) AS r (image_id bigint, field text)
WHERE e.image_id = r.image_id AND e.field = r.field
