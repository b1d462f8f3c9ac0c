-- Clauses with briefs but no curated document, and what became of the calls.
WITH asked AS (
    SELECT brief_id, unnest(clause_ids) AS clause_id FROM briefs WHERE kind = 'document'
),
replies AS (
    SELECT clause_id, string_agg(outcome || ': ' || num, ', ' ORDER BY num DESC, outcome) AS calls
    FROM (
        SELECT clause_id, outcome, count(*) AS num
        FROM asked JOIN calls ON calls.item_id = asked.brief_id
        GROUP BY ALL
    )
    GROUP BY clause_id
)
SELECT
    clauses.ordinal,
    coalesce(clauses.label, clauses.path[-1]) AS clause,
    count(DISTINCT asked.brief_id) AS briefs,
    count(DISTINCT documents.doc_id) AS documents,
    any_value(replies.calls) AS calls,
    clauses.clause_id
FROM clauses
JOIN asked USING (clause_id)
LEFT JOIN replies USING (clause_id)
LEFT JOIN documents ON documents.brief_id = asked.brief_id
LEFT JOIN curated ON curated.doc_id = documents.doc_id
GROUP BY ALL
HAVING count(curated.doc_id) = 0
ORDER BY briefs DESC, clauses.ordinal
