-- What each mix holds, by genre and set, as rows, tokens and share, whether or not it has targets for them.
WITH held AS (
    SELECT doc_id, genre, set FROM documents
    UNION ALL
    SELECT chat_id, NULL, set FROM chats
)
SELECT
    mixes.mix,
    held.set,
    held.genre,
    count(*) AS rows,
    count(DISTINCT mixes.doc_id) AS distinct_rows,
    sum(mixes.num_tokens)::BIGINT AS tokens,
    round(sum(mixes.num_tokens) / sum(sum(mixes.num_tokens)) OVER (PARTITION BY mixes.mix), 4) AS share
FROM mixes LEFT JOIN held USING (doc_id)
GROUP BY mixes.mix, held.set, held.genre
ORDER BY mixes.mix, tokens DESC, held.set, held.genre
