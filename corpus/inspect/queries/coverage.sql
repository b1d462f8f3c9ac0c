-- How many documents each clause has in each genre: briefs, written, curated.
WITH counted AS (
    SELECT unnest(clause_ids) AS clause_id, genre, 1 AS briefs, 0 AS documents, 0 AS curated
    FROM briefs WHERE kind = 'document'
    UNION ALL
    SELECT unnest(clause_ids), genre, 0, 1, (doc_id IN (SELECT doc_id FROM curated))::INTEGER
    FROM documents WHERE brief_id IS NOT NULL
),
asked AS (
    SELECT clause_id, genre, sum(briefs) AS briefs, sum(documents) AS documents, sum(curated) AS curated
    FROM counted
    GROUP BY clause_id, genre
)
SELECT
    clauses.ordinal,
    coalesce(clauses.label, clauses.path[-1]) AS clause,
    asked.genre,
    coalesce(asked.briefs, 0)::BIGINT AS briefs,
    coalesce(asked.documents, 0)::BIGINT AS documents,
    coalesce(asked.curated, 0)::BIGINT AS curated,
    clauses.clause_id
FROM clauses
LEFT JOIN asked USING (clause_id)
WHERE clauses.split = 'train' AND clauses.kind IN ('rule', 'value')
ORDER BY clauses.ordinal, asked.genre, clauses.clause_id
