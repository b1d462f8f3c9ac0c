-- What attempts that came to nothing cost: calls and tokens by purpose and attempt, and how many were of use.
SELECT
    purpose,
    attempt,
    count(*) AS calls,
    count(*) FILTER (outcome = 'ok') AS ok,
    round(count(*) FILTER (outcome = 'ok') / count(*), 4) AS ok_share,
    coalesce(sum(completion_tokens) FILTER (outcome <> 'ok'), 0)::BIGINT AS wasted_tokens,
    round(coalesce(sum(seconds) FILTER (outcome <> 'ok'), 0), 1) AS wasted_seconds
FROM calls
GROUP BY purpose, attempt
ORDER BY purpose, attempt
