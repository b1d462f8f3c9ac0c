-- How each score is spread: rows, least, percentiles 1 to 99, most.
SELECT
    scorer,
    name,
    count(*) AS rows,
    count(value) AS with_value,
    min(value) AS least,
    quantile_cont(value, 0.01) AS p01,
    quantile_cont(value, 0.1) AS p10,
    quantile_cont(value, 0.5) AS p50,
    quantile_cont(value, 0.9) AS p90,
    quantile_cont(value, 0.99) AS p99,
    max(value) AS most
FROM scores
GROUP BY scorer, name
ORDER BY scorer, name
