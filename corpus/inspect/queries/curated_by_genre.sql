-- What share of each genre's documents is curated, and what took the others.
WITH lost AS (
    SELECT doc_id, string_agg(filter, ', ' ORDER BY filter) AS why FROM verdicts WHERE outcome = 'drop' GROUP BY doc_id
    UNION ALL
    SELECT doc_id, 'duplicate' FROM duplicates WHERE doc_id <> survivor_id
),
reasons AS (
    SELECT documents.genre, lost.why, count(*) AS num FROM documents JOIN lost USING (doc_id) GROUP BY ALL
),
most AS (
    SELECT genre, string_agg(why || ': ' || num, ', ' ORDER BY num DESC, why) AS lost_to
    FROM reasons GROUP BY genre
)
SELECT
    documents.genre,
    count(*) AS documents,
    count(curated.doc_id) AS curated,
    round(count(curated.doc_id) / count(*), 4) AS share,
    any_value(most.lost_to) AS lost_to
FROM documents
LEFT JOIN curated USING (doc_id)
LEFT JOIN most ON most.genre IS NOT DISTINCT FROM documents.genre
GROUP BY documents.genre
ORDER BY share, documents DESC, documents.genre
