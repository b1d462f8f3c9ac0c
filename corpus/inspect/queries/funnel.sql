-- How many documents and chats are left at each step, from briefs to mixes.
SELECT step, documents, chats
FROM (
    VALUES
        (1, 'briefs',
            (SELECT count(*) FROM briefs WHERE kind = 'document'),
            (SELECT count(*) FROM briefs WHERE kind = 'chat')),
        (2, 'written',
            (SELECT count(*) FROM documents WHERE brief_id IS NOT NULL),
            (SELECT count(*) FROM chats WHERE brief_id IS NOT NULL)),
        (3, 'written and imported', (SELECT count(*) FROM documents), (SELECT count(*) FROM chats)),
        (4, 'curated', (SELECT count(*) FROM curated), (SELECT count(*) FROM curated_chats)),
        (5, 'mixed',
            (SELECT count(*) FROM documents WHERE doc_id IN (SELECT doc_id FROM mixes)),
            (SELECT count(*) FROM chats WHERE chat_id IN (SELECT doc_id FROM mixes)))
) AS steps (number, step, documents, chats)
ORDER BY number
