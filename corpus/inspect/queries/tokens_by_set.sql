-- Rows and tokens of each set, written or imported and curated; documents and chats apart.
WITH held AS (
    SELECT 'documents' AS kind, set, doc_id, num_tokens FROM documents
    UNION ALL
    SELECT 'chats', set, chat_id, num_tokens FROM chats
),
kept AS (
    SELECT doc_id FROM curated UNION ALL SELECT chat_id FROM curated_chats
)
SELECT
    kind,
    set,
    count(*) AS rows,
    sum(num_tokens)::BIGINT AS tokens,
    count(kept.doc_id) AS curated_rows,
    coalesce(sum(num_tokens) FILTER (kept.doc_id IS NOT NULL), 0)::BIGINT AS curated_tokens
FROM held LEFT JOIN kept USING (doc_id)
GROUP BY kind, set
ORDER BY kind, tokens DESC, set
