-- The last ten updates of each stage in training: loss, speed, share of the machine's matrix rate (`mfu_fraction`), memory.
SELECT
    chain, seed, stage, step, loss, learning_rate, grad_norm, target_tokens,
    round(seconds, 3) AS seconds,
    round(tokens_per_second, 1) AS tokens_per_second,
    round(target_tokens_per_second, 1) AS target_tokens_per_second,
    round(mfu_fraction, 4) AS mfu_fraction,
    round(peak_memory_bytes / 1e9, 2) AS peak_memory_gb
FROM steps
QUALIFY row_number() OVER (PARTITION BY chain, seed, stage ORDER BY step DESC) <= 10
ORDER BY chain, seed, stage, step
