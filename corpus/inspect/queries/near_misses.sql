-- The fifty rows whose score lies nearest a threshold, on both sides, with what that filter decided.
-- $scorer: text. The filter, as in the column `scorer` of `scores`.
-- $name: text. The score, as in the column `name` of `scores`.
-- $threshold: number. The value that they should be near.
WITH texts AS (
    SELECT doc_id, set, genre, text FROM documents
    UNION ALL
    SELECT chat_id, set, question_kind, array_to_string(list_transform(messages, lambda turn: turn.content), ' / ')
    FROM chats
)
SELECT
    scores.value,
    verdicts.outcome,
    verdicts.reason,
    texts.set,
    texts.genre,
    scores.doc_id,
    scores.evidence,
    left(texts.text, 120) AS beginning
FROM scores
JOIN texts USING (doc_id)
LEFT JOIN verdicts ON verdicts.doc_id = scores.doc_id AND verdicts.filter = scores.scorer
WHERE scores.scorer = $scorer AND scores.name = $name AND isfinite(scores.value)
ORDER BY abs(scores.value - $threshold), scores.doc_id
LIMIT 50
