-- The stages that were trained: data, updates, tokens, time, checkpoint, and whether their mix is still the same.
SELECT
    chain, seed, stage, parent, updates, tokens, target_tokens,
    round(seconds, 1) AS seconds,
    round(tokens / nullif(seconds, 0), 1) AS tokens_per_second,
    data_hash = data.value AS is_of_current_data,
    checkpoint, data_hash
FROM stages LEFT JOIN current_values AS data ON data.about = 'data' AND data.name = stages.stage
ORDER BY chain, seed, stage
