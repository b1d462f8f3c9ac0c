-- The clauses of the spec by kind and split.
SELECT
    kind,
    split,
    count(*) AS clauses,
    sum(length(text))::BIGINT AS chars,
    median(length(text)) AS median_chars,
    max(length(text)) AS most_chars
FROM clauses
GROUP BY ALL
ORDER BY clauses DESC, kind, split
