-- Every difference between arms with its interval: what the recipe declared first, then what is exploratory.
SELECT
    is_declared AS declared,
    metric,
    arm,
    against,
    round(value, 5) AS difference,
    round(low, 5) AS low,
    round(high, 5) AS high,
    n,
    clusters,
    seeds,
    p_value,
    adjusted_p_value,
    note
FROM effects
WHERE against IS NOT NULL
ORDER BY is_declared DESC, metric, arm, against
