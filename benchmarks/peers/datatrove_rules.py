"""What datatrove's filters for web pages decide, each preset as published and each rule alone.

    python datatrove_rules.py TEXTS.jsonl RESULT.json [--time-only] [--spacy]

Words are what stands between white space, with each ideograph by itself, and sentences are Specmill's: a tokenizer is
handed to the filters by their own parameter. `--spacy` leaves them their default.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from multiprocessing import Pool
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.utils.word_tokenizers import WordTokenizer

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
_SENTENCE = re.compile(r".*?(?:[.!?]+[\"'\u201d\u2019)\]]*(?=\s|$)|[\u3002\uff01\uff1f]|$)", re.DOTALL)
_QUALITY_OFF = dict.fromkeys(
    (
        "min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio",
        "max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words",
    )
)  # fmt: skip
_REPETITION_OFF = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")) | {
    "top_n_grams": (),
    "dup_n_grams": (),
}
_FINEWEB_OFF = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": math.inf, "new_line_ratio": math.inf}
_C4_OFF = {
    "remove_citations": True, "filter_no_terminal_punct": False, "min_num_sentences": -1, "min_words_per_line": -1,
    "max_word_length": -1, "filter_lorem_ipsum": False, "filter_javascript": False, "filter_curly_bracket": False,
    "filter_policy": False,
}  # fmt: skip


_BLOCK = 16
"""Texts that one process takes at a time: few, for some are long."""


class Words(WordTokenizer):
    """The words and sentences that both sides take."""

    def word_tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return _WORD.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """The sentences of a text."""
        return [text[start:end] for start, end in self.span_tokenize(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Where they are."""
        return [found.span() for found in _SENTENCE.finditer(text) if found[0].strip()]


def presets(language: object) -> dict[str, BaseFilter]:
    """The four as they are published."""
    return {
        "gopher_quality": GopherQualityFilter(language=language),
        "gopher_repetition": GopherRepetitionFilter(language=language),
        "c4": C4QualityFilter(language=language),
        "fineweb": FineWebQualityFilter(language=language),
    }


def single_rules(language: object) -> dict[str, BaseFilter]:
    """Each rule alone, by the name of the limit that is Specmill's for it."""

    def quality(**rule: object) -> BaseFilter:
        return GopherQualityFilter(**(_QUALITY_OFF | rule), language=language)

    def repetition(**rule: object) -> BaseFilter:
        return GopherRepetitionFilter(**(_REPETITION_OFF | rule), language=language)

    def c4(**rule: object) -> BaseFilter:
        return C4QualityFilter(**(_C4_OFF | rule), language=language)

    def fineweb(**rule: object) -> BaseFilter:
        return FineWebQualityFilter(**(_FINEWEB_OFF | rule), language=language)

    line_rules = {"filter_no_terminal_punct": True, "min_words_per_line": 3, "max_word_length": 1000}
    return {
        "min_words": quality(min_doc_words=50),
        "max_words": quality(max_doc_words=100_000),
        "min_mean_word_chars": quality(min_avg_word_length=3),
        "max_mean_word_chars": quality(max_avg_word_length=10),
        "max_hashes_per_word and max_ellipses_per_word": quality(max_symbol_word_ratio=0.1),
        "max_bullet_line_fraction": quality(max_bullet_lines_ratio=0.9),
        "max_ellipsis_line_fraction": quality(max_ellipsis_lines_ratio=0.3),
        "min_alphabetic_word_fraction": quality(max_non_alpha_words_ratio=0.8),
        "min_stop_words": quality(min_stop_words=2),
        "max_duplicate_paragraph_fraction": repetition(dup_para_frac=0.3),
        "max_duplicate_paragraph_char_fraction": repetition(dup_para_char_frac=0.2),
        "max_duplicate_line_fraction": repetition(dup_line_frac=0.3),
        "max_duplicate_line_char_fraction": repetition(dup_line_char_frac=0.2),
        **{
            f"max_top_{n}gram_fraction": repetition(top_n_grams=((n, most),))
            for n, most in ((2, 0.2), (3, 0.18), (4, 0.16))
        },
        **{
            f"max_duplicate_{n}gram_fraction": repetition(dup_n_grams=((n, most),))
            for n, most in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
        },
        "max_lorem_ipsum_lines": c4(**line_rules, filter_lorem_ipsum=True),
        "max_curly_bracket_lines": c4(**line_rules, filter_javascript=True, filter_curly_bracket=True),
        "min_c4_sentences": c4(**line_rules, filter_javascript=True, filter_policy=True, min_num_sentences=5),
        "max_long_word_lines": c4(max_word_length=1000),
        "max_unpunctuated_lines": c4(max_word_length=1000, filter_no_terminal_punct=True),
        "max_few_word_lines": c4(**line_rules),
        "max_javascript_lines": c4(**line_rules, filter_javascript=True),
        "max_policy_lines": c4(**line_rules, filter_javascript=True, filter_policy=True),
        "min_punctuated_line_fraction": fineweb(line_punct_thr=0.12),
        "max_short_line_fraction": fineweb(short_line_thr=0.67),
        "max_duplicate_filled_line_char_fraction": fineweb(char_duplicates_ratio=0.01),
        "max_newlines_per_word": fineweb(new_line_ratio=0.3),
    }


_LINE_RULES = {
    "max_long_word_lines": "too_long_word",
    "max_unpunctuated_lines": "no_terminal_punc",
    "max_few_word_lines": "too_few_words",
    "max_javascript_lines": "javascript",
    "max_policy_lines": "policy",
}
"""C4's rules that remove lines leave their mark in the filter's counts only."""


def drops(rule: BaseFilter, name: str, text: str) -> bool:
    """Whether a filter drops a text, or one of C4's line rules removes a line of it."""
    counted = _LINE_RULES.get(name)
    before = rule.stats[f"line-filter-{counted}"].total if counted else 0
    kept = rule.filter(Document(text=text, id="")) is True
    return rule.stats[f"line-filter-{counted}"].total > before if counted else not kept


def decisions(texts: list[str]) -> dict[str, list[bool]]:
    """Which texts each preset, and each rule alone, drops."""
    language = Words()
    four, alone = presets(language), single_rules(language)
    made: dict[str, list[bool]] = {name: [] for name in [*four, *alone]}
    for text in texts:  # one text after the other: its words are split once
        for name, rule in four.items():
            made[name].append(rule.filter(Document(text=text, id="")) is not True)
        for name, rule in alone.items():
            made[name].append(drops(rule, name, text))
    return made


def seconds(texts: list[str], language: object) -> float:
    """Processor seconds of the four presets over all texts."""
    four = presets(language)
    for rule in four.values():
        rule.filter(Document(text=texts[0], id=""))
    start = time.process_time()
    for text in texts:
        for rule in four.values():
            rule.filter(Document(text=text, id=""))
    return time.process_time() - start


def main(texts: Path, result: Path, *options: str) -> None:
    """Time the presets, or decide about every text on all cores."""
    found = [json.loads(line) for line in texts.open(encoding="utf-8")]
    if "--time-only" in options:
        result.write_text(json.dumps({"seconds": seconds(found, "eng" if "--spacy" in options else Words())}))
        return
    blocks = [found[start : start + _BLOCK] for start in range(0, len(found), _BLOCK)]
    with Pool(len(os.sched_getaffinity(0))) as pool:
        parts = pool.map(decisions, blocks, chunksize=1)
    result.write_text(json.dumps({name: [one for part in parts for one in part[name]] for name in parts[0]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
