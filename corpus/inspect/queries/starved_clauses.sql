-- Clauses with briefs of a kind (document or chat) but nothing of it curated, and what became of the calls.
WITH asked AS (
    SELECT brief_id, kind AS of_kind, unnest(clause_ids) AS clause_id FROM briefs WHERE kind IN ('document', 'chat')
),
replies AS (
    SELECT clause_id, of_kind, string_agg(outcome || ': ' || num, ', ' ORDER BY num DESC, outcome) AS calls
    FROM (
        SELECT clause_id, of_kind, outcome, count(*) AS num
        FROM asked JOIN calls ON calls.item_id = asked.brief_id
        GROUP BY ALL
    )
    GROUP BY clause_id, of_kind
),
written AS (
    SELECT brief_id, doc_id AS id, doc_id IN (SELECT doc_id FROM curated) AS is_curated FROM documents
    UNION ALL
    SELECT brief_id, chat_id, chat_id IN (SELECT chat_id FROM curated_chats) FROM chats
)
SELECT
    clauses.ordinal,
    coalesce(clauses.label, clauses.path[-1]) AS clause,
    asked.of_kind AS kind,
    count(DISTINCT asked.brief_id) AS briefs,
    count(DISTINCT written.id) AS written,
    any_value(replies.calls) AS calls,
    clauses.clause_id
FROM clauses
JOIN asked USING (clause_id)
LEFT JOIN replies USING (clause_id, of_kind)
LEFT JOIN written USING (brief_id)
GROUP BY ALL
HAVING count(*) FILTER (written.is_curated) = 0
ORDER BY briefs DESC, clauses.ordinal, of_kind
