-- Up to twenty rows that a filter drops, with its reason and what it saw.
-- $filter: text. The filter, as in the column `filter` of `verdicts`.
WITH texts AS (
    SELECT doc_id, set, genre, text FROM documents
    UNION ALL
    SELECT chat_id, set, question_kind, array_to_string(list_transform(messages, lambda turn: turn.content), ' / ')
    FROM chats
),
dropped AS (
    SELECT doc_id, filter, reason FROM verdicts WHERE filter = $filter AND outcome = 'drop' ORDER BY doc_id LIMIT 20
),
seen AS (
    SELECT doc_id, scorer, string_agg(name || ' ' || round(value, 4), ', ' ORDER BY name) AS scores
    FROM scores WHERE doc_id IN (SELECT doc_id FROM dropped) GROUP BY doc_id, scorer
)
SELECT dropped.reason, seen.scores, texts.set, texts.genre, dropped.doc_id, left(texts.text, 160) AS beginning
FROM dropped
JOIN texts USING (doc_id)
LEFT JOIN seen ON seen.doc_id = dropped.doc_id AND seen.scorer = dropped.filter
ORDER BY dropped.doc_id
