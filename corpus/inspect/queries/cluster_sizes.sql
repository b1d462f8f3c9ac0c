-- How large the clusters of duplicates are: clusters and rows of each size.
WITH clusters AS (
    SELECT cluster_id, count(*) AS members FROM duplicates GROUP BY cluster_id
)
SELECT members, count(*) AS clusters, members * count(*) AS rows FROM clusters GROUP BY members ORDER BY members
