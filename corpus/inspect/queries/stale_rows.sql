-- How many rows of each table are not of the current recipe.
SELECT rows.table_name, count(*) AS rows, count(*) FILTER (rows.stale) AS stale
FROM (
    SELECT 'briefs' AS table_name, stale FROM all_briefs
    UNION ALL SELECT 'documents', stale FROM all_documents
    UNION ALL SELECT 'chats', stale FROM all_chats
    UNION ALL SELECT 'scores', stale FROM all_scores
    UNION ALL SELECT 'verdicts', stale FROM all_verdicts
    UNION ALL SELECT 'duplicates', stale FROM all_duplicates
    UNION ALL SELECT 'mixes', stale FROM all_mixes
    UNION ALL SELECT 'stages', stale FROM all_stages
    UNION ALL SELECT 'evals', stale FROM all_evals
) AS rows
GROUP BY rows.table_name
ORDER BY stale DESC, rows.table_name
