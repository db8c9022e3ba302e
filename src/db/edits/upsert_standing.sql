-- Writes how people's values stand. $1: JSON array of StandingWrite; values are JSON texts, so that null is a value and not its absence.
INSERT INTO image_edits AS e (image_id, field, value, base, state, outside)
SELECT r.image_id, r.field, r.value::jsonb, r.base::jsonb, r.state, r.outside::jsonb
FROM json_to_recordset($1::json) AS r (image_id bigint, field text, value text, base text, state text, outside text)
ON CONFLICT (image_id, field) DO UPDATE SET
    value = excluded.value, base = excluded.base, state = excluded.state, outside = excluded.outside,
    reason = CASE WHEN excluded.state = 'failed' THEN e.reason END,
    attempts = CASE WHEN excluded.state = 'failed' THEN e.attempts ELSE 0 END,
    updated_at = now()
