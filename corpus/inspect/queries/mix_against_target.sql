-- Every part of each mix: its target beside what it got, what there was to take, and what it lacks.
SELECT
    mix,
    set,
    genre,
    clause,
    rows,
    distinct_rows,
    tokens,
    round(tokens / nullif(sum(tokens) OVER (PARTITION BY mix), 0), 4) AS share,
    round(target_share, 4) AS target_share,
    target_tokens,
    available_tokens,
    greatest(target_tokens - available_tokens, 0) AS short_tokens,
    unique_tokens
FROM mix_parts
ORDER BY mix, part
