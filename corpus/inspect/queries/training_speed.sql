-- How fast each stage trains: time, median tokens a second, share of the machine's matrix rate (`mfu_fraction`), memory.
SELECT
    chain,
    stage,
    seed,
    count(*) AS updates,
    sum(tokens)::BIGINT AS tokens,
    sum(target_tokens)::BIGINT AS target_tokens,
    round(sum(seconds), 1) AS seconds,
    round(median(coalesce(tokens_per_second, tokens / nullif(seconds, 0))), 1) AS tokens_per_second,
    round(median(coalesce(target_tokens_per_second, target_tokens / nullif(seconds, 0))), 1)
        AS target_tokens_per_second,
    round(median(mfu_fraction), 4) AS mfu_fraction,
    round(max(peak_memory_bytes) / 1e9, 2) AS peak_memory_gb
FROM steps
GROUP BY chain, stage, seed
ORDER BY chain, stage, seed
