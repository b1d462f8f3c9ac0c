-- How many documents and chats are left at each step, from briefs to mixes.
WITH asked AS (
    SELECT count(*) FILTER (kind = 'document') AS documents, count(*) FILTER (kind <> 'document') AS chats FROM briefs
),
written AS (
    SELECT
        (SELECT [count(*), count(brief_id)] FROM documents) AS documents,
        (SELECT [count(*), count(brief_id)] FROM chats) AS chats
)
SELECT step, documents, chats
FROM (
    SELECT 1 AS number, 'briefs' AS step, documents, chats FROM asked
    UNION ALL SELECT 2, 'written', documents[2], chats[2] FROM written
    UNION ALL SELECT 3, 'written and imported', documents[1], chats[1] FROM written
    UNION ALL SELECT 4, 'curated', (SELECT count(*) FROM curated), (SELECT count(*) FROM curated_chats)
    UNION ALL SELECT 5, 'mixed',
        (SELECT count(*) FROM documents SEMI JOIN mixes USING (doc_id)),
        (SELECT count(*) FROM chats SEMI JOIN mixes ON mixes.doc_id = chats.chat_id)
)
ORDER BY number
