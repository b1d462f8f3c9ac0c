-- What each filter drops that no other drops: what would come back if it were left out.
WITH drops AS (
    SELECT doc_id, count(*) AS num_filters, min(filter) AS filter FROM verdicts WHERE outcome = 'drop' GROUP BY doc_id
)
SELECT
    verdicts.filter,
    count(*) AS rows,
    count(*) FILTER (verdicts.outcome = 'drop') AS drops,
    count(*) FILTER (drops.num_filters = 1 AND drops.filter = verdicts.filter) AS drops_alone,
    count(*) FILTER (verdicts.outcome = 'unjudged') AS unjudged
FROM verdicts LEFT JOIN drops USING (doc_id)
GROUP BY verdicts.filter
ORDER BY drops_alone DESC, verdicts.filter
