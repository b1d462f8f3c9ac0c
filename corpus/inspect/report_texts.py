"""What the report shows of texts: a sample with its provenance, what differs in near-duplicates, diversity."""

from __future__ import annotations

from typing import cast

from corpus.inspect.diversity import SAMPLE_CHARS as MEASURED_CHARS
from corpus.inspect.diversity import SAMPLE_DOCUMENTS, Diversity, measure_diversity
from corpus.inspect.look import Look, Row
from corpus.inspect.word_diff import MAX_WORDS, word_diff

SAMPLE_CHARS = 1_500
COMPARED_CHARS = MAX_WORDS * 12
MOST_GENRES = 24
"""Genres that samples are taken of; of more, those with the most documents."""
MOST_PAIRS = 6
TEXTS = """
    texts AS (
        SELECT doc_id, text FROM documents
        UNION ALL
        SELECT chat_id, array_to_string(list_transform(messages, lambda turn: turn.content), ' / ') FROM chats
    )
"""


def pairs(look: Look) -> list[Row]:
    """Near-duplicates with what differs: one of each of the largest clusters, then the pairs least alike."""
    found = look.rows(
        f"""
        WITH {TEXTS},
        clusters AS (SELECT *, count(*) OVER (PARTITION BY cluster_id) AS members FROM duplicates),
        lost AS (FROM clusters WHERE kind = 'near' AND doc_id <> survivor_id),
        chosen AS (
            SELECT * FROM (
                FROM lost QUALIFY row_number() OVER (PARTITION BY cluster_id ORDER BY jaccard, doc_id) = 1
                ORDER BY members DESC, doc_id LIMIT $half
            )
            UNION
            SELECT * FROM (FROM lost ORDER BY jaccard, doc_id LIMIT $half)
        )
        SELECT chosen.doc_id, chosen.matched_id, chosen.jaccard, chosen.members,
            left(one.text, $chars) AS one, left(other.text, $chars) AS other
        FROM chosen
        JOIN texts AS one ON one.doc_id = chosen.doc_id
        JOIN texts AS other ON other.doc_id = chosen.matched_id
        ORDER BY chosen.members DESC, chosen.jaccard, chosen.doc_id
        """,
        {"half": MOST_PAIRS // 2, "chars": COMPARED_CHARS},
    )
    return [row | {"pieces": word_diff(str(row["other"]), str(row["one"]))} for row in found]


def diversity(look: Look) -> list[tuple[str, Diversity]]:
    """Of the curated documents of each set, or of all of a set without one: a sample in the order of a hash."""
    rows = look.rows(
        """
        WITH chosen AS (
            SELECT doc_id, set, doc_id IN (SELECT doc_id FROM curated) AS is_curated FROM documents
            QUALIFY (is_curated OR NOT bool_or(is_curated) OVER (PARTITION BY set))
                AND row_number() OVER (PARTITION BY set ORDER BY is_curated DESC, md5(doc_id), doc_id) <= $most
        )
        SELECT documents.set, list(left(text, $chars) ORDER BY md5(doc_id), doc_id) AS texts
        FROM documents JOIN chosen USING (doc_id)
        GROUP BY documents.set ORDER BY documents.set
        """,
        {"most": SAMPLE_DOCUMENTS, "chars": MEASURED_CHARS},
    )
    measured = [(str(row["set"]), measure_diversity(cast("list[str]", row["texts"]))) for row in rows]
    return [(name, one) for name, one in measured if one is not None]


def sample_documents(look: Look) -> list[Row]:
    """Of each genre and set, one document that is kept and one that is not, with what made and decided them."""
    return look.rows(
        """
        WITH genres AS (
            SELECT set, genre FROM documents GROUP BY set, genre ORDER BY count(*) DESC, set, genre LIMIT $genres
        ),
        chosen AS (
            SELECT doc_id, doc_id IN (SELECT doc_id FROM curated) AS is_curated
            FROM documents
            JOIN genres ON genres.set IS NOT DISTINCT FROM documents.set
                AND genres.genre IS NOT DISTINCT FROM documents.genre
            QUALIFY row_number() OVER (
                PARTITION BY documents.set, documents.genre, is_curated ORDER BY md5(doc_id), doc_id
            ) = 1
        ),
        decided AS (
            SELECT doc_id, string_agg(filter || ': ' || outcome || coalesce(' (' || reason || ')', ''), '; '
                ORDER BY outcome = 'keep', filter) AS verdicts
            FROM verdicts WHERE doc_id IN (SELECT doc_id FROM chosen) GROUP BY doc_id
        ),
        measured AS (
            SELECT doc_id, string_agg(scorer || '.' || name || ' ' || printf('%.4g', value), ', ' ORDER BY scorer, name)
                AS scores
            FROM scores WHERE value IS NOT NULL AND doc_id IN (SELECT doc_id FROM chosen) GROUP BY doc_id
        )
        SELECT
            made.doc_id, made.genre, made.set, made.source, made.num_tokens, chosen.is_curated,
            left(made.text, $chars) AS text, length(made.text) - $chars AS chars_left_out,
            briefs.idea, briefs.model, briefs.stance, decided.verdicts, measured.scores, lost.survivor_id,
            (
                SELECT string_agg(array_to_string(path, ' > '), '; ' ORDER BY ordinal)
                FROM clauses WHERE list_contains(made.clause_ids, clause_id)
            ) AS clauses
        FROM chosen
        JOIN documents AS made USING (doc_id)
        LEFT JOIN briefs USING (brief_id)
        LEFT JOIN decided USING (doc_id)
        LEFT JOIN measured USING (doc_id)
        LEFT JOIN duplicates AS lost ON lost.doc_id = made.doc_id AND lost.doc_id <> lost.survivor_id
        ORDER BY made.set, made.genre, chosen.is_curated DESC, made.doc_id
        """,
        {"chars": SAMPLE_CHARS, "genres": MOST_GENRES},
    )
