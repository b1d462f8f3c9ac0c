-- What each arm scored in each task and variant (`ratio`: scores over weights), and whether it is trained as it would be now.
WITH trained AS (
    SELECT
        arm.name AS arm,
        CASE WHEN count(*) = count(data.value) THEN bool_and(stages.data_hash = data.value) END AS is_of_current_data
    FROM current_values AS arm
    JOIN stages ON arm.value = stages.chain OR starts_with(arm.value, stages.chain || '+')
    LEFT JOIN current_values AS data ON data.about = 'data' AND data.name = stages.stage
    WHERE arm.about = 'chain'
    GROUP BY arm.name
)
SELECT
    task,
    variant,
    arm,
    count(DISTINCT train_seed) AS seeds,
    count(DISTINCT item_id) AS items,
    count(value) AS scored,
    round(avg(value), 5) AS mean_value,
    round(avg(score), 5) AS mean_score,
    round(sum(score) / nullif(sum(weight), 0), 5) AS ratio,
    any_value(trained.is_of_current_data) AS is_of_current_data
FROM evals LEFT JOIN trained USING (arm)
GROUP BY ALL
ORDER BY task, variant, arm
