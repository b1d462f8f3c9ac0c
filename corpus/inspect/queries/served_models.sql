-- What servers called the models that answered, by room, purpose and the name that was asked for.
SELECT room, purpose, model, served_model, count(*) AS calls, count(*) FILTER (outcome = 'ok') AS ok
FROM calls
WHERE outcome NOT IN ('timeout', 'error')
GROUP BY ALL
ORDER BY room, purpose, model, served_model
