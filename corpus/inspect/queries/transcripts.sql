-- What arms answered, with what was read out of it: prompt's item, answer, verdict and reason.
-- $task: text. As in the column `task` of `evals`.
SELECT
    evals.arm,
    evals.train_seed,
    evals.item_id,
    evals.variant,
    evals.sample,
    evals.value,
    evals.answer AS decided_by,
    evals.explanation,
    evals.judge,
    answers.finish_reason,
    answers.text
FROM evals JOIN answers USING (answer_id)
WHERE evals.task = $task
ORDER BY evals.item_id, evals.variant, evals.arm, evals.train_seed, evals.sample
