-- Each condition or cluster of a sampled task by arm: answers, those without a score, and the mean.
SELECT
    task,
    variant,
    cluster,
    arm,
    count(DISTINCT train_seed) AS seeds,
    count(*) AS answers,
    count(*) - count(value) AS unscored,
    round(avg(value), 4) AS mean_value
FROM evals
WHERE answer_id IS NOT NULL
GROUP BY ALL
ORDER BY task, variant, cluster, arm
