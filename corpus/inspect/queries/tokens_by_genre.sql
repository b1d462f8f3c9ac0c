-- Documents and tokens of each genre, written and curated.
SELECT
    documents.genre,
    count(*) AS documents,
    sum(documents.num_tokens)::BIGINT AS tokens,
    count(curated.doc_id) AS curated_documents,
    coalesce(sum(curated.num_tokens), 0)::BIGINT AS curated_tokens,
    round(avg(documents.num_tokens), 1) AS mean_tokens
FROM documents LEFT JOIN curated USING (doc_id)
GROUP BY ALL
ORDER BY tokens DESC, documents.genre
