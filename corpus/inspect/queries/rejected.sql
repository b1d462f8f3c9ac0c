-- Rows of imported files that could not be used, each with file and line, the reason and how it begins.
SELECT "set", source, reason, detail, excerpt
FROM rejected
ORDER BY "set", source, rejected_id
