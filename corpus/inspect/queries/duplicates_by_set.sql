-- How many rows of each set and genre gave way to a duplicate, by kind.
WITH held AS (
    SELECT doc_id, set, genre FROM documents
    UNION ALL
    SELECT chat_id, set, question_kind FROM chats
)
SELECT
    held.set,
    held.genre,
    count(*) AS rows,
    count(*) FILTER (duplicates.kind = 'exact') AS exact,
    count(*) FILTER (duplicates.kind = 'near') AS near,
    round(count(duplicates.doc_id) / count(*), 4) AS share
FROM held
LEFT JOIN duplicates ON duplicates.doc_id = held.doc_id AND duplicates.doc_id <> duplicates.survivor_id
GROUP BY held.set, held.genre
ORDER BY share DESC, rows DESC, held.set, held.genre
