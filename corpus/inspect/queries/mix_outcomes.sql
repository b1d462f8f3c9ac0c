-- What each arm was trained on beside what it came to: arm, stage, mix by genre, and each difference with its interval.
WITH stages_of AS (
    SELECT arm.name AS arm, unnest(string_split(arm.value, '+')) AS stage
    FROM current_values AS arm WHERE arm.about = 'chain' AND arm.value <> ''
),
held AS (
    SELECT doc_id, coalesce(genre, set) AS part FROM documents
    UNION ALL
    SELECT chat_id, coalesce(question_kind, set) FROM chats
),
parts AS (
    SELECT mix, coalesce(part, 'unknown') AS part, sum(mixes.num_tokens) AS tokens
    FROM mixes LEFT JOIN held USING (doc_id) GROUP BY ALL
),
contents AS (
    SELECT
        mix,
        sum(tokens)::BIGINT AS tokens,
        string_agg(part || ' ' || round(100 * tokens / whole, 1) || ' %', ', ' ORDER BY tokens DESC, part) AS parts
    FROM (SELECT *, sum(tokens) OVER (PARTITION BY mix) AS whole FROM parts) GROUP BY mix
)
SELECT
    effects.metric,
    effects.arm,
    effects.against,
    round(effects.value, 5) AS difference,
    round(effects.low, 5) AS low,
    round(effects.high, 5) AS high,
    effects.seeds,
    stages_of.stage,
    reads.value AS mix,
    contents.tokens AS mix_tokens,
    coalesce(contents.parts, elsewhere.value) AS mix_parts,
    effects.adjusted_p_value,
    effects.note
FROM effects
LEFT JOIN stages_of USING (arm)
LEFT JOIN current_values AS reads ON reads.about = 'mix' AND reads.name = stages_of.stage
LEFT JOIN contents ON contents.mix = reads.value
LEFT JOIN current_values AS elsewhere ON elsewhere.about = 'mix_contents' AND elsewhere.name = stages_of.stage
WHERE effects.against IS NOT NULL
ORDER BY effects.metric, effects.against, effects.arm, stages_of.stage
