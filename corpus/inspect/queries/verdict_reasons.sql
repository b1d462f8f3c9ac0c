-- What each filter decided, and why.
SELECT
    filter,
    outcome,
    reason,
    count(*) AS rows,
    round(count(*) / sum(count(*)) OVER (PARTITION BY filter), 4) AS share
FROM verdicts
GROUP BY filter, outcome, reason
ORDER BY filter, rows DESC, outcome, reason
