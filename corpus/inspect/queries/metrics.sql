-- Every metric of every arm with its interval, as eval worked them out last.
SELECT
    metric,
    arm,
    round(value, 5) AS value,
    round(low, 5) AS low,
    round(high, 5) AS high,
    n,
    clusters,
    seeds,
    note
FROM effects
WHERE against IS NULL
ORDER BY metric, arm
