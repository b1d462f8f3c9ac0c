-- Clusters of duplicates: who survives, how many there are, how alike they are.
SELECT
    cluster_id,
    min(survivor_id) AS survivor_id,
    count(*) AS members,
    count(*) FILTER (kind = 'exact' AND doc_id <> survivor_id) AS exact,
    count(*) FILTER (kind = 'near' AND doc_id <> survivor_id) AS near,
    round(min(jaccard), 4) AS least_jaccard,
    round(avg(jaccard), 4) AS mean_jaccard
FROM duplicates
GROUP BY cluster_id
ORDER BY members DESC, cluster_id
