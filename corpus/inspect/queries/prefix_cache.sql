-- How much of the prompts the engine did not compute anew, by purpose; null where it does not say.
SELECT
    purpose,
    count(*) AS calls,
    sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens,
    sum(cached_tokens) / sum(prompt_tokens) FILTER (cached_tokens IS NOT NULL) AS cached_fraction,
    sum(completion_tokens) AS completion_tokens
FROM calls
WHERE room = 'corpus'
GROUP BY purpose
ORDER BY prompt_tokens DESC NULLS LAST
