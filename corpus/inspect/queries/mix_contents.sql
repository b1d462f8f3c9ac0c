-- What each mix holds, by genre and set, targets or not, and how many of its rows are no longer curated.
WITH held AS (
    SELECT doc_id, genre, set FROM documents
    UNION ALL
    SELECT chat_id, NULL, set FROM chats
),
kept AS (
    SELECT doc_id FROM curated UNION ALL SELECT chat_id FROM curated_chats
)
SELECT
    mixes.mix,
    held.set,
    held.genre,
    count(*) AS rows,
    count(DISTINCT mixes.doc_id) AS distinct_rows,
    sum(mixes.num_tokens)::BIGINT AS tokens,
    round(sum(mixes.num_tokens) / sum(sum(mixes.num_tokens)) OVER (PARTITION BY mixes.mix), 4) AS share,
    count(*) - count(kept.doc_id) AS no_longer_curated
FROM mixes LEFT JOIN held USING (doc_id) LEFT JOIN kept USING (doc_id)
GROUP BY mixes.mix, held.set, held.genre
ORDER BY mixes.mix, tokens DESC, held.set, held.genre
