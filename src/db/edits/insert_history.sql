-- Adds to the history. $1: JSON array of HistoryWrite; $2: batch; $3: author.
INSERT INTO edits (batch_id, image_id, field, before, after, author)
SELECT $2, r.image_id, r.field, r.before::jsonb, r.after::jsonb, $3
FROM json_to_recordset($1::json) AS r (image_id bigint, field text, before text, after text)
