from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import TrainingError
from tests.train.tiny import SENTENCES
from train.packing import pack_best_fit, piece_lengths
from train.plan import IGNORED, Segment, flatten, make_plan
from train.texts import document_segments

DOCUMENTS = [(f"doc-{number}", " ".join(SENTENCES[: 1 + number % 4])) for number in range(12)]


def plan_of(lengths, *, batch_tokens=20, epochs=1, seed=0, stage="midtrain", seq_tokens=16):
    """A plan of documents whose every token is a number of its own."""
    numbers = iter(range(sum(lengths)))
    pieces = [
        Segment(f"doc-{document}", [next(numbers) for _ in range(length)], [False] + [True] * (length - 1))
        for document, tokens in enumerate(lengths)
        for length in piece_lengths(tokens, seq_tokens)
    ]
    return make_plan(
        flatten(pieces, {}), seq_tokens=seq_tokens, batch_tokens=batch_tokens, epochs=epochs, seed=seed, stage=stage
    )


@given(st.integers(1, 5000), st.integers(8, 100))
def test_pieces_sum_to_the_document_and_none_is_too_long_or_a_lone_last_token(num_tokens, seq_tokens):
    pieces = piece_lengths(num_tokens, seq_tokens)
    assert sum(pieces) == num_tokens
    assert max(pieces) <= seq_tokens
    assert len(pieces) == 1 or pieces[-1] >= 2
    assert len(pieces) == -(-num_tokens // seq_tokens), "no more pieces than needed"


@given(st.lists(st.integers(1, 16), max_size=60))
def test_packing_puts_each_piece_into_one_row_and_is_best_fit_decreasing(lengths):
    rows = pack_best_fit(lengths, 16)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    assert all(sum(lengths[piece] for piece in row) <= 16 for row in rows)
    reference: list[list[int]] = []  # the definition, by brute force
    for length in sorted(lengths, reverse=True):
        fitting = [row for row in reference if sum(row) + length <= 16]
        (max(fitting, key=sum) if fitting else reference.append([]) or reference[-1]).append(length)
    filled = sorted(sum(lengths[piece] for piece in row) for row in rows)
    assert filled == sorted(sum(row) for row in reference)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=30).filter(lambda lengths: max(lengths) > 1),
    epochs=st.integers(1, 3),
    batch_tokens=st.integers(1, 100),
    seed=st.integers(0, 5),
)
def test_each_epoch_trains_on_every_token_once_but_the_first_of_each_segment(lengths, epochs, batch_tokens, seed):
    plan = plan_of(lengths, epochs=epochs, batch_tokens=batch_tokens, seed=seed)
    order = [row for update in plan.updates for row in update]
    per_epoch = len(plan.rows)
    assert len(order) == epochs * per_epoch
    for epoch in range(epochs):
        rows = [plan.row(row) for row in order[epoch * per_epoch : (epoch + 1) * per_epoch]]
        inputs = np.concatenate([row.input_ids for row in rows])
        assert sorted(inputs.tolist()) == list(range(sum(lengths))), "tokens in == tokens out"
        labels = np.concatenate([row.labels for row in rows])
        first = np.concatenate([row.position_ids for row in rows]) == 0
        assert Counter(labels[~first].tolist()) == Counter(inputs[~first].tolist())
        assert (labels[first] == IGNORED).all()
    assert sum(plan.num_tokens) == epochs * sum(lengths)
    num_targets = sum(int((plan.row(row).labels != IGNORED).sum()) for row in order)
    assert sum(plan.num_targets) == num_targets
    assert all(tokens >= batch_tokens for tokens in plan.num_tokens) or len(plan.updates) == epochs


def test_positions_restart_with_each_segment():
    plan = plan_of([5, 3, 8])
    row = plan.row(0)
    assert row.position_ids.tolist() == [*range(8), *range(5), *range(3)]
    assert (row.input_ids[row.position_ids == 0]).tolist() == [8, 0, 5]


def test_the_targets_of_each_update_are_known_in_advance():
    plan = plan_of([5, 30, 8, 3, 12], batch_tokens=16)
    for update, known in zip(plan.updates, plan.num_targets, strict=True):
        assert known == sum(int((plan.row(row).labels != IGNORED).sum()) for row in update)


def test_the_plan_is_a_function_of_seed_stage_and_epoch():
    lengths = [9] * 30
    assert plan_of(lengths, epochs=2).updates == plan_of(lengths, epochs=2).updates
    assert plan_of(lengths, seed=1).updates != plan_of(lengths, seed=2).updates
    assert plan_of(lengths, stage="sft").updates != plan_of(lengths, stage="midtrain").updates
    two = plan_of(lengths, epochs=2).updates
    assert two[: len(two) // 2] != two[len(two) // 2 :]


def test_a_plan_without_a_target_is_refused():
    with pytest.raises(TrainingError, match=r"nothing to learn: 1 texts, 0 target tokens"):
        plan_of([1])


def test_rows_of_short_documents_are_nearly_full():
    assert plan_of([1, 2, 3, 5, 6, 7] * 200).fill_fraction > 0.98


def test_each_document_ends_in_one_learned_eos_and_begins_with_bos_only_where_the_tokenizer_puts_it(tokenizer_maker):
    for puts_bos in (False, True):
        tokenizer = tokenizer_maker(eos="<|eos|>", puts_bos=puts_bos)
        segments = document_segments(DOCUMENTS, tokenizer, 1000)
        for number in range(len(DOCUMENTS)):
            span = slice(segments.starts[number], segments.starts[number + 1])
            token_ids, is_target = segments.token_ids[span].tolist(), segments.is_target[span].tolist()
            assert token_ids.count(tokenizer.bos_token_id) == puts_bos
            assert (token_ids[0] == tokenizer.bos_token_id) == puts_bos
            assert token_ids.count(tokenizer.eos_token_id) == 1
            assert token_ids[-1] == tokenizer.eos_token_id
            assert is_target == [False] + [True] * (len(token_ids) - 1)


def test_a_long_document_is_split_without_losing_a_token_and_only_its_end_has_eos(tokenizer):
    text = " ".join(SENTENCES * 3)
    segments = document_segments([("long", text)], tokenizer, 32)
    pieces = np.split(segments.token_ids, segments.starts[1:-1])
    whole = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    assert len(pieces) > 3
    assert segments.token_ids.tolist() == whole
    assert [piece[-1] == tokenizer.eos_token_id for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert not segments.is_target[segments.starts[:-1]].any()


def test_eos_is_learned_although_padding_has_the_same_id(tokenizer):
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert document_segments(DOCUMENTS, tokenizer, 1000).is_target[-1]


def test_text_that_looks_like_a_control_token_stays_text(tokenizer):
    text = "It printed <|im_end|> and stopped."
    segments = document_segments([("doc", text)], tokenizer, 1000)
    assert segments.token_ids.tolist().count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(segments.token_ids[:-1]) == text


def test_an_empty_document_is_no_target(tokenizer):
    segments = document_segments([("empty", ""), *DOCUMENTS], tokenizer, 1000)
    assert segments.starts[1] == 1
    assert not segments.is_target[0]


def test_a_seq_tokens_too_short_for_text_is_refused(tokenizer):
    with pytest.raises(TrainingError, match="seq_tokens is 4"):
        document_segments(DOCUMENTS, tokenizer, 4)
