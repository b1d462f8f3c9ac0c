-- How many rows of each table that can be outdated are not of the current recipe.
SELECT rows.table_name, count(*) AS rows, count(*) FILTER (rows.stale) AS stale
FROM (
    SELECT 'clauses' AS table_name, stale FROM all_clauses
    UNION ALL SELECT 'assertions', stale FROM all_assertions
    UNION ALL SELECT 'genres', stale FROM all_genres
    UNION ALL SELECT 'briefs', stale FROM all_briefs
    UNION ALL SELECT 'worn', stale FROM all_worn
    UNION ALL SELECT 'documents', stale FROM all_documents
    UNION ALL SELECT 'chats', stale FROM all_chats
    UNION ALL SELECT 'scores', stale FROM all_scores
    UNION ALL SELECT 'verdicts', stale FROM all_verdicts
    UNION ALL SELECT 'classifiers', stale FROM all_classifiers
    UNION ALL SELECT 'recurring', stale FROM all_recurring
    UNION ALL SELECT 'duplicates', stale FROM all_duplicates
    UNION ALL SELECT 'mixes', stale FROM all_mixes
    UNION ALL SELECT 'mix_parts', stale FROM all_mix_parts
    UNION ALL SELECT 'stages', stale FROM all_stages
    UNION ALL SELECT 'steps', stale FROM all_steps
    UNION ALL SELECT 'held_out_losses', stale FROM all_held_out_losses
    UNION ALL SELECT 'evals', stale FROM all_evals
    UNION ALL SELECT 'answers', stale FROM all_answers
    UNION ALL SELECT 'grades', stale FROM all_grades
    UNION ALL SELECT 'effects', stale FROM all_effects
) AS rows
GROUP BY rows.table_name
ORDER BY stale DESC, rows.table_name
