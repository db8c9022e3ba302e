-- Image $1 is found by the words of all of $2.
UPDATE images SET search_words = array_to_tsvector(ARRAY(
    SELECT DISTINCT word FROM images AS i, unnest(tsvector_to_array(i.search_words)) AS word WHERE i.id = ANY($2)
))
WHERE id = $1
