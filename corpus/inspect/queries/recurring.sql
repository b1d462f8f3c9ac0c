-- Names, openings and phrases that recur across the documents, the most frequent of each kind first.
SELECT
    kind,
    text,
    num_documents,
    num_documents / (SELECT count(*) FROM documents) AS document_fraction
FROM recurring
ORDER BY kind, num_documents DESC, text
