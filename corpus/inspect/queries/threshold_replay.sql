-- What min_probability of a classifier would keep, from the scores alone; for another score, change name and line.
SELECT
    scorer,
    line AS min_probability,
    count(*) FILTER (WHERE value >= line) AS kept,
    count(*) FILTER (WHERE value < line) AS dropped,
    count(*) FILTER (WHERE value IS NULL) AS unjudged
FROM scores CROSS JOIN (SELECT unnest([0.1, 0.25, 0.5, 0.75, 0.9]) AS line)
WHERE name = 'probability'
GROUP BY scorer, line
ORDER BY scorer, line
