-- What share of each clause's documents is curated, the lowest first.
WITH written AS (
    SELECT unnest(clause_ids) AS clause_id, doc_id FROM documents
)
SELECT
    clauses.ordinal,
    coalesce(clauses.label, clauses.path[-1]) AS clause,
    count(*) AS documents,
    count(curated.doc_id) AS curated,
    round(count(curated.doc_id) / count(*), 4) AS share,
    coalesce(sum(curated.num_tokens), 0)::BIGINT AS curated_tokens,
    clauses.clause_id
FROM written JOIN clauses USING (clause_id) LEFT JOIN curated USING (doc_id)
GROUP BY ALL
ORDER BY share, documents DESC, clauses.ordinal
