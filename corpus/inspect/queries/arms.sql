-- What each arm scored in each task and variant; `ratio` is the sum of scores over the sum of weights.
SELECT
    task,
    variant,
    arm,
    count(DISTINCT train_seed) AS seeds,
    count(DISTINCT item_id) AS items,
    count(value) AS scored,
    round(avg(value), 5) AS mean_value,
    round(avg(score), 5) AS mean_score,
    round(sum(score) / nullif(sum(weight), 0), 5) AS ratio
FROM evals
GROUP BY ALL
ORDER BY task, variant, arm
