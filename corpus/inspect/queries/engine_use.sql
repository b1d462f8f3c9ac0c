-- What each purpose took of the engine: calls, tokens, seconds a call (median and slowest tenth), tokens a call.
SELECT
    purpose,
    model,
    count(*) AS calls,
    sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens,
    round(avg(completion_tokens), 1) AS tokens_per_call,
    round(quantile_cont(seconds, 0.5), 3) AS median_seconds,
    round(quantile_cont(seconds, 0.9), 3) AS p90_seconds,
    round(sum(completion_tokens) / nullif(sum(seconds), 0), 1) AS tokens_per_second_of_one_call
FROM calls
GROUP BY purpose, model
ORDER BY completion_tokens DESC NULLS LAST, purpose, model
