-- How far the judge agrees with itself: grades, those that could not be read, pairs, agreement, and Cohen's kappa (ratings: quadratic weights).
WITH said AS (
    SELECT
        task,
        judge,
        question_id,
        again,
        coalesce(reply->>'verdict', reply->>'choice', reply->>'rating') AS label,
        (reply->>'rating')::DOUBLE AS rating
    FROM grades
),
questions AS (
    SELECT
        task,
        judge,
        question_id,
        bool_or(NOT again) AS is_graded,
        max(label) FILTER (NOT again) AS one,
        max(label) FILTER (again) AS two,
        max(rating) FILTER (NOT again) AS rating,
        max(rating) FILTER (again) AS rating_again
    FROM said GROUP BY task, judge, question_id
),
pairs AS (
    FROM questions WHERE one IS NOT NULL AND two IS NOT NULL
),
by_chance AS (
    SELECT task, judge, sum(firsts * seconds) AS agreed
    FROM (
        SELECT
            task,
            judge,
            label,
            count(*) FILTER (is_first) / sum(count(*) FILTER (is_first)) OVER each AS firsts,
            count(*) FILTER (NOT is_first) / sum(count(*) FILTER (NOT is_first)) OVER each AS seconds
        FROM (
            SELECT task, judge, one AS label, true AS is_first FROM pairs
            UNION ALL
            SELECT task, judge, two, false FROM pairs
        )
        GROUP BY task, judge, label
        WINDOW each AS (PARTITION BY task, judge)
    )
    GROUP BY task, judge
),
of_pairs AS (
    SELECT
        task,
        judge,
        count(*) AS graded_twice,
        avg((one = two)::INT) AS agreed_fraction,
        CASE WHEN count(rating) = count(*) THEN 1 - avg((rating - rating_again) ** 2) / nullif(
            avg(rating ** 2) + avg(rating_again ** 2) - 2 * avg(rating) * avg(rating_again), 0
        ) END AS weighted
    FROM pairs GROUP BY task, judge
)
SELECT
    task,
    judge,
    count(*) FILTER (is_graded) AS graded,
    count(*) FILTER (is_graded AND one IS NULL) AS invalid,
    any_value(coalesce(graded_twice, 0)) AS graded_twice,
    any_value(agreed_fraction) AS agreed_fraction,
    any_value(coalesce(weighted, (agreed_fraction - agreed) / nullif(1 - agreed, 0))) AS kappa
FROM questions LEFT JOIN of_pairs USING (task, judge) LEFT JOIN by_chance USING (task, judge)
GROUP BY task, judge
ORDER BY task, judge
