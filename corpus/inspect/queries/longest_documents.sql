-- The twenty longest documents, and whether they are curated.
SELECT
    doc_id, set, genre, num_tokens, num_chars,
    doc_id IN (SELECT doc_id FROM curated) AS is_curated,
    left(text, 80) AS beginning
FROM documents
ORDER BY num_tokens DESC NULLS LAST, doc_id
LIMIT 20
