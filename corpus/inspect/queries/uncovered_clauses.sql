-- Rules and values that no assertion of a model's outline rests on; generate --top-up takes them up again.
SELECT
    ordinal,
    coalesce(label, path[-1]) AS clause,
    text,
    clause_id
FROM clauses
WHERE split = 'train' AND kind IN ('rule', 'value')
AND EXISTS (FROM assertions)
AND clause_id NOT IN (SELECT unnest(clause_ids) FROM assertions)
ORDER BY ordinal
