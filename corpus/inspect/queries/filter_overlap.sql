-- Which filters drop the same rows: for each pair, how many both drop, and what share of each one's drops that is.
WITH drops AS (
    SELECT doc_id, filter FROM verdicts WHERE outcome = 'drop'
),
totals AS (
    SELECT filter, count(*) AS dropped FROM drops GROUP BY filter
)
SELECT
    one.filter AS filter,
    other.filter AS also,
    count(*) AS both_drop,
    any_value(totals.dropped) AS filter_drops,
    round(count(*) / any_value(totals.dropped), 4) AS share
FROM drops AS one
JOIN drops AS other ON one.doc_id = other.doc_id
JOIN totals ON totals.filter = one.filter
GROUP BY one.filter, other.filter
ORDER BY one.filter, both_drop DESC, other.filter
