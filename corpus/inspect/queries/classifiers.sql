-- What each classifier is worth: AUC with its 95 % interval, precision and recall at the recipe's threshold.
SELECT
    classifier,
    source,
    num_positives AS positives,
    num_negatives AS negatives,
    num_held_out AS held_out,
    round(auc, 4) AS auc,
    round(auc_low, 4) AS auc_low,
    round(auc_high, 4) AS auc_high,
    round(control_auc, 4) AS shuffled_auc,
    round(accuracy, 4) AS accuracy,
    threshold,
    round(precision, 4) AS precision,
    round(recall, 4) AS recall,
    num_trainings AS trainings,
    why_not
FROM classifiers
ORDER BY classifier
