-- The loss on documents that no mix may hold, of all genres and of each: first, best and last measurement of a stage.
WITH measured AS (
    SELECT chain, stage, seed, 1 AS part, genre, step, num_texts, target_tokens, loss
    FROM held_out_losses
    UNION ALL
    SELECT
        chain, stage, seed, 0, 'all genres', step, sum(num_texts), sum(target_tokens),
        sum(loss * target_tokens) / sum(target_tokens)
    FROM held_out_losses
    GROUP BY chain, stage, seed, step
)
SELECT
    chain,
    stage,
    seed,
    genre,
    max(num_texts)::BIGINT AS texts,
    max(target_tokens)::BIGINT AS target_tokens,
    round(arg_min(loss, step), 4) AS first_loss,
    min(step) AS first_step,
    round(min(loss), 4) AS best_loss,
    arg_min(step, (loss, step)) AS best_step,
    round(arg_max(loss, step), 4) AS last_loss,
    max(step) AS last_step,
    round(arg_max(loss, step) - arg_min(loss, step), 4) AS change
FROM measured
GROUP BY chain, stage, seed, part, genre
ORDER BY chain, stage, seed, part, target_tokens DESC, genre
