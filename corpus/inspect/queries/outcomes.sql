-- How the calls of each purpose came out, with tokens and the mean wait.
SELECT
    room,
    purpose,
    count(*) AS calls,
    count(*) FILTER (outcome = 'ok') AS ok,
    count(*) FILTER (outcome = 'refusal') AS refusal,
    count(*) FILTER (outcome = 'truncated') AS truncated,
    count(*) FILTER (outcome = 'unparsable') AS unparsable,
    count(*) FILTER (outcome = 'empty') AS empty,
    count(*) FILTER (outcome = 'degenerate') AS degenerate,
    count(*) FILTER (outcome = 'timeout') AS timeout,
    count(*) FILTER (outcome = 'error') AS error,
    sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens,
    round(avg(seconds), 2) AS mean_seconds
FROM calls
GROUP BY ALL
ORDER BY calls DESC, room, purpose
