-- What each arm scored with each training seed: how far seeds lie apart.
SELECT
    task,
    variant,
    arm,
    train_seed,
    count(value) AS scored,
    round(avg(value), 5) AS mean_value,
    round(avg(score), 5) AS mean_score,
    round(sum(score) / nullif(sum(weight), 0), 5) AS ratio
FROM evals
GROUP BY task, variant, arm, train_seed
ORDER BY task, variant, arm, train_seed
