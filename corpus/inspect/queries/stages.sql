-- The stages that were trained: data, updates, tokens, time, checkpoint.
SELECT
    chain, seed, stage, parent, updates, tokens, target_tokens,
    round(seconds, 1) AS seconds,
    round(tokens / nullif(seconds, 0), 1) AS tokens_per_second,
    checkpoint, data_hash
FROM stages
ORDER BY chain, seed, stage
