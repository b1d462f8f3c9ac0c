-- Calls that were no use, by purpose, model and outcome, with their share of the calls of that purpose and model.
WITH counted AS (
    SELECT
        room, purpose, model, outcome,
        count(*) AS calls,
        min(coalesce(error, reply)) AS example
    FROM calls
    GROUP BY ALL
),
shares AS (
    SELECT *, calls / sum(calls) OVER (PARTITION BY room, purpose, model) AS share FROM counted
)
SELECT room, purpose, model, outcome, calls, round(share, 4) AS share, left(example, 120) AS example
FROM shares
WHERE outcome <> 'ok'
ORDER BY calls DESC, room, purpose, model, outcome
