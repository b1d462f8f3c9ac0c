-- Which genre each genre's documents look like, by the classifiers of genre_fidelity that have not seen them.
SELECT
    documents.genre,
    scores.label AS looks_like,
    count(*) AS documents,
    round(count(*) / sum(count(*)) OVER (PARTITION BY documents.genre), 4) AS share,
    round(avg(scores.value), 4) AS mean_own_probability
FROM scores
JOIN documents USING (doc_id)
WHERE scores.name = 'own_genre_probability' AND scores.value IS NOT NULL
GROUP BY documents.genre, scores.label
ORDER BY documents.genre, documents DESC, looks_like
