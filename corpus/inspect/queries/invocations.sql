-- What was done to this run, when, by which code, and how it ended.
SELECT started, verb, outcome, round(seconds, 1) AS seconds, machine, code_version, recipe_hash
FROM invocations
ORDER BY started, verb, invocation_id
