-- Names, openings and phrases over-represented in documents and answers: near-equal ones together, the most frequent first.
SELECT
    row_kind,
    kind,
    cluster AS text,
    max(num_documents) AS num_documents,
    max(num_documents) / (
        SELECT count(*) FROM (
            SELECT 'documents' AS of_kind FROM documents
            WHERE doc_id NOT IN (SELECT parent_id FROM documents WHERE parent_id IS NOT NULL)
            UNION ALL SELECT 'chats' FROM chats
        ) WHERE of_kind = row_kind
    ) AS document_fraction,
    count(*) AS num_variants,
    array_to_string(list(text ORDER BY num_documents DESC, text) FILTER (text <> cluster)[:3], ' | ') AS variants
FROM recurring
GROUP BY row_kind, kind, cluster
ORDER BY row_kind DESC, kind, num_documents DESC, text
