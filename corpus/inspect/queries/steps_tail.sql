-- The last ten updates of each stage in training.
SELECT chain, seed, stage, step, loss, learning_rate, grad_norm, target_tokens, round(seconds, 3) AS seconds
FROM steps
QUALIFY row_number() OVER (PARTITION BY chain, seed, stage ORDER BY step DESC) <= 10
ORDER BY chain, seed, stage, step
