from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import TrainingError
from corpus.recipe import StageSettings
from tests.train.tiny import SENTENCES, flatten
from train.packing import pack_best_fit, piece_lengths
from train.plan import IGNORED, make_plan
from train.segments import Segment, open_segments, write_segments
from train.texts import document_segments

DOCUMENTS = [(f"doc-{number}", " ".join(SENTENCES[: 1 + number % 4])) for number in range(12)]


def plan_of(lengths, *, batch_tokens=20, seed=0, stage="midtrain", seq_tokens=16, **length):
    """A plan of documents whose every token is a number of its own."""
    numbers = iter(range(sum(lengths)))
    pieces = [
        Segment(f"doc-{document}", [next(numbers) for _ in range(length)], [False] + [True] * (length - 1))
        for document, tokens in enumerate(lengths)
        for length in piece_lengths(tokens, seq_tokens)
    ]
    settings = StageSettings(data="docs", seq_tokens=seq_tokens, batch_tokens=batch_tokens, **length)
    return make_plan(flatten(pieces), settings, seed, stage)


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


def test_updates_given_instead_of_epochs_go_on_over_the_data_until_so_many_are_planned():
    once = len(plan_of([9] * 30).updates)
    assert plan_of([9] * 30, updates=4).updates == plan_of([9] * 30).updates[:4]
    more = plan_of([9] * 30, updates=2 * once + 3)
    assert more.updates == plan_of([9] * 30, epochs=3).updates[: 2 * once + 3]
    assert len(more.num_targets) == len(more.num_tokens) == 2 * once + 3


def test_epochs_and_updates_are_not_both_given():
    with pytest.raises(ValueError, match=r"epochs \(2\) and updates \(5\) are both given; leave one out"):
        plan_of([9], epochs=2, updates=5)


def test_a_plan_says_that_no_token_is_lost():
    plan = plan_of([5, 30, 8, 3, 12], batch_tokens=16)
    assert plan.describe().startswith("58 tokens in 6 segments = 58 in 4 rows (90.6% full); ")
    assert (
        f"; {len(plan.updates)} updates of {min(plan.num_targets)} to {max(plan.num_targets)} tokens" in plan.describe()
    )


def test_damaged_tokens_are_not_opened(tmp_path):
    segments = [Segment("doc", [5, 6, 7], [False, True, True])]
    write_segments(tmp_path / "tokens", segments, {"why": ["other"]})
    opened = open_segments(tmp_path / "tokens")
    assert (opened.token_ids.tolist(), opened.sources, opened.dropped) == ([5, 6, 7], ["doc"], {"why": ["other"]})
    file = tmp_path / "tokens" / "token_ids.int32"
    file.write_bytes(bytes([9]) + file.read_bytes()[1:])
    assert open_segments(tmp_path / "tokens") is None


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
        segments = flatten(document_segments(DOCUMENTS, tokenizer, 1000))
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
    segments = flatten(document_segments([("long", text)], tokenizer, 32))
    pieces = np.split(segments.token_ids, segments.starts[1:-1])
    whole = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    assert len(pieces) > 3
    assert segments.token_ids.tolist() == whole
    assert [piece[-1] == tokenizer.eos_token_id for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert not segments.is_target[segments.starts[:-1]].any()


def test_eos_is_learned_although_padding_has_the_same_id(tokenizer):
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert flatten(document_segments(DOCUMENTS, tokenizer, 1000)).is_target[-1]


def test_text_that_looks_like_a_control_token_stays_text(tokenizer):
    text = "It printed <|im_end|> and stopped."
    segments = flatten(document_segments([("doc", text)], tokenizer, 1000))
    assert segments.token_ids.tolist().count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(segments.token_ids[:-1]) == text


def test_an_empty_document_is_no_target(tokenizer):
    segments = flatten(document_segments([("empty", ""), *DOCUMENTS], tokenizer, 1000))
    assert segments.starts[1] == 1
    assert not segments.is_target[0]


TAGS = ("", "<|start|>", "A document: ", "<|bos|>")


@pytest.fixture(scope="module")
def tokenizers(tokenizer_maker):
    return [tokenizer_maker(eos="<|eos|>", puts_bos=puts_bos) for puts_bos in (False, True)]


@settings(deadline=None)
@given(
    texts=st.lists(st.text(max_size=60) | st.sampled_from([*SENTENCES, "It says <|eos|>."]), min_size=1, max_size=5),
    seq_tokens=st.integers(8, 80),
    tag=st.sampled_from(TAGS),
    puts_bos=st.booleans(),
)
def test_the_pieces_of_a_document_are_bos_tag_text_eos_and_all_but_what_is_given_is_learned(
    tokenizers, texts, seq_tokens, tag, puts_bos
):
    tokenizer = tokenizers[puts_bos]
    tag_ids = tokenizer(tag, add_special_tokens=False).input_ids
    assert len(tag_ids) == 1 or tag not in TAGS[1::2], "in a tag a control token is one"
    documents = [(f"doc-{number}", text) for number, text in enumerate(texts)]
    if len(tag_ids) >= seq_tokens // 2:
        with pytest.raises(TrainingError, match=f"is {len(tag_ids)} tokens long, and seq_tokens is {seq_tokens}; give"):
            document_segments(documents, tokenizer, seq_tokens, tag)
        return
    pieces = list(document_segments(documents, tokenizer, seq_tokens, tag))
    for doc_id, text in documents:
        own = [piece for piece in pieces if piece.source == doc_id]
        given_ids = [tokenizer.bos_token_id] * puts_bos + tag_ids
        text_ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        token_ids = [token_id for piece in own for token_id in piece.token_ids]
        assert token_ids == [*given_ids, *text_ids, tokenizer.eos_token_id]
        assert max(len(piece.token_ids) for piece in own) <= seq_tokens
        first, *others = own
        num_given = max(1, len(given_ids))
        assert first.is_target == [False] * num_given + [True] * (len(first.token_ids) - num_given)
        assert all(piece.is_target == [False] + [True] * (len(piece.token_ids) - 1) for piece in others)


def test_with_a_tag_the_first_token_of_a_text_is_learned(tokenizer):
    (plain,) = document_segments(DOCUMENTS[:1], tokenizer, 1000)
    (tagged,) = document_segments(DOCUMENTS[:1], tokenizer, 1000, "<|start|>")
    assert tagged.token_ids == [tokenizer.convert_tokens_to_ids("<|start|>"), *plain.token_ids]
    assert (tagged.is_target[:2], plain.is_target[0]) == ([False, True], False)
    (empty,) = document_segments([("empty", "")], tokenizer, 1000, "<|start|>")
    assert empty.is_target == [False, True], "the end of a text that is empty"


def test_a_tag_of_half_a_row_is_refused(tokenizer):
    tag = "A document that an assistant reads: "
    num_tag_tokens = len(tokenizer(tag, add_special_tokens=False).input_ids)
    document_segments(DOCUMENTS, tokenizer, 2 * num_tag_tokens + 2, tag)
    with pytest.raises(TrainingError, match=f"{num_tag_tokens} tokens long.* a tag of fewer than {num_tag_tokens} "):
        document_segments(DOCUMENTS, tokenizer, 2 * num_tag_tokens + 1, tag)


def test_a_seq_tokens_too_short_for_text_is_refused(tokenizer):
    with pytest.raises(TrainingError, match="seq_tokens is 4"):
        document_segments(DOCUMENTS, tokenizer, 4)
