-- Chats by kind of question: how many, with reasoning, curated, and how long.
SELECT
    set,
    stance,
    question_kind,
    count(*) AS chats,
    count(*) FILTER (reasoning) AS with_reasoning,
    count(*) FILTER (chat_id IN (SELECT chat_id FROM curated_chats)) AS curated,
    round(avg(num_tokens), 1) AS mean_tokens,
    round(avg(len(messages)), 1) AS mean_turns
FROM chats
GROUP BY set, stance, question_kind
ORDER BY chats DESC, set, stance, question_kind
