-- How many documents each clause has in each genre: briefs, written, curated.
WITH asked AS (
    SELECT brief_id, genre, unnest(clause_ids) AS clause_id FROM briefs WHERE kind = 'document'
)
SELECT
    clauses.ordinal,
    coalesce(clauses.label, clauses.path[-1]) AS clause,
    asked.genre,
    count(DISTINCT asked.brief_id) AS briefs,
    count(DISTINCT documents.doc_id) AS documents,
    count(DISTINCT curated.doc_id) AS curated,
    clauses.clause_id
FROM clauses
LEFT JOIN asked USING (clause_id)
LEFT JOIN documents ON documents.brief_id = asked.brief_id
LEFT JOIN curated ON curated.doc_id = documents.doc_id
WHERE clauses.split = 'train' AND clauses.kind IN ('rule', 'value')
GROUP BY ALL
ORDER BY clauses.ordinal, asked.genre, clauses.clause_id
