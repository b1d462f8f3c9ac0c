-- What would be curated at most if one filter kept just a range of scores, by set and genre: what comes back may be a duplicate.
-- $scorer: text. The filter, as in the column `scorer` of `scores`; the range takes the place of its verdict.
-- $name: text. The score, as in the column `name` of `scores`; rows without it stay as they are.
-- $at_least: number or null. The lowest value that is kept; without it, no value is too low.
-- $at_most: number or null. The highest value that is kept; without it, no value is too high.
WITH held AS (
    SELECT doc_id, set, genre FROM documents
    UNION ALL
    SELECT chat_id, set, question_kind FROM chats
),
scored AS (
    SELECT
        doc_id,
        value IS NOT NULL
        AND value >= coalesce($at_least::DOUBLE, '-inf'::DOUBLE)
        AND value <= coalesce($at_most::DOUBLE, 'inf'::DOUBLE) AS is_in_range
    FROM scores
    WHERE scorer = $scorer AND name = $name
),
judged AS (
    SELECT
        doc_id,
        count(*) FILTER (filter <> $scorer) AS kept_by_others,
        count(*) AS kept_by_all
    FROM verdicts
    WHERE outcome = 'keep' OR outcome = 'unjudged' AND EXISTS (
        FROM current_values WHERE about = 'verdicts' AND name = '@unjudged' AND value = 'keep'
    )
    GROUP BY doc_id
),
filters AS (
    SELECT count(*) AS num_all, count(*) FILTER (name <> $scorer) AS num_others
    FROM current_values WHERE about = 'verdicts' AND NOT starts_with(name, '@')
),
lost AS (
    SELECT doc_id FROM duplicates WHERE doc_id <> survivor_id
    UNION ALL
    SELECT parent_id FROM documents WHERE parent_id IS NOT NULL
),
standing AS (
    SELECT
        set,
        genre,
        scored.is_in_range,
        coalesce(kept_by_all = num_all, num_all = 0) AND is_left AS is_curated,
        coalesce(kept_by_others = num_others, num_others = 0) AND is_left AS is_kept_by_others
    FROM (SELECT *, doc_id NOT IN (FROM lost) AS is_left FROM held)
    LEFT JOIN scored USING (doc_id)
    LEFT JOIN judged USING (doc_id)
    CROSS JOIN filters
)
SELECT
    set,
    genre,
    count(*) AS rows,
    count(is_in_range) AS scored,
    count(*) FILTER (is_in_range) AS in_range,
    count(*) FILTER (is_curated) AS curated_now,
    count(*) FILTER (CASE WHEN is_in_range IS NULL THEN is_curated ELSE is_in_range AND is_kept_by_others END) AS curated_then
FROM standing
GROUP BY set, genre
ORDER BY rows DESC, set, genre
