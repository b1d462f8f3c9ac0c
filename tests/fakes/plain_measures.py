"""Every measure of `measures` again, in plain Python and as plainly as possible: the reference of the tests."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence

_IDEOGRAPHS = r"\u3040-\u30ff\u3400-\u9fff"
_SENTENCE = re.compile(r".*?(?:[.!?]+[\"'\u201d\u2019)\]]*(?=\s|$)|[\u3002\uff01\uff1f]|$)", re.DOTALL)
_CITATION = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_ENDS = ".!?\u3002\uff01\uff1f\u061f\u0964\u203c"
"""Those of Unicode's sentence terminals that the tests write."""


def measures(text: str) -> dict[str, float]:
    found = words(text)
    lines = text.splitlines()
    filled = [line for line in text.split("\n") if line.strip()]
    plain = [word for word in found if not all(map(is_symbol, word))]
    gopher_lines, paragraphs = re.split("\n+", text), re.split("\n{2,}", text.strip())
    sentences = [sentence for line in lines for sentence in sentences_of(line)]
    num_words, num_chars, num_lines = max(1, len(found)), max(1, len(text)), max(1, len(lines))
    data = text.encode("utf-8", "surrogatepass")
    return {
        "words": len(plain),
        "mean_word_chars": sum(map(len, plain)) / max(1, len(plain)),
        "hashes_per_word": text.count("#") / num_words if found else 0,
        "ellipses_per_word": (text.count("...") + text.count("…")) / num_words if found else 0,
        "bullet_line_fraction": sum(line.lstrip().startswith(("•", "-")) for line in lines) / num_lines,
        "ellipsis_line_fraction": sum(line.rstrip().endswith(("...", "…")) for line in lines) / num_lines,
        "alphabetic_word_fraction": sum(any(map(str.isalpha, word)) for word in found) / num_words,
        "stop_words": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(found)),
        "duplicate_line_fraction": len(repeated(gopher_lines)) / len(gopher_lines),
        "duplicate_line_char_fraction": len("".join(repeated(gopher_lines))) / num_chars,
        "duplicate_paragraph_fraction": len(repeated(paragraphs)) / len(paragraphs),
        "duplicate_paragraph_char_fraction": len("".join(repeated(paragraphs))) / num_chars,
        "duplicate_sentence_char_fraction": len("".join(repeated(sentences))) / num_chars,
        **{f"top_{n}gram_fraction": top_ngram_chars(found, n) / num_chars for n in (2, 3, 4)},
        **{f"duplicate_{n}gram_fraction": duplicate_ngram_chars(found, n) / num_chars for n in range(5, 11)},
        "punctuated_line_fraction": sum(line[-1] in _ENDS for line in filled) / max(1, len(filled)),
        "short_line_fraction": sum(len(line) <= 30 for line in filled) / max(1, len(filled)),
        "duplicate_filled_line_char_fraction": len("".join(repeated(filled))) / max(1, len(text.replace("\n", ""))),
        "newlines_per_word": text.count("\n") / num_words,
        **c4(lines),
        "zlib_fraction": len(zlib.compress(data, 6)) / len(data) if data else 1.0,
    }


def is_symbol(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS" or unicodedata.category(char) == "Cc"


def words(text: str) -> list[str]:
    return re.findall(rf"[{_IDEOGRAPHS}]|[^\s{_IDEOGRAPHS}]+", text)


def sentences_of(line: str) -> list[str]:
    return [found[0].strip() for found in _SENTENCE.finditer(line) if found[0].strip()]


def repeated(units: Sequence[str]) -> list[str]:
    return [unit for place, unit in enumerate(units) if unit in units[:place]]


def top_ngram_chars(found: Sequence[str], size: int) -> int:
    ngrams = [" ".join(found[start : start + size]) for start in range(len(found) - size + 1)]
    if not ngrams:
        return 0
    [(top, count)] = Counter(ngrams).most_common(1)
    return count * len(top)


def duplicate_ngram_chars(found: Sequence[str], size: int) -> int:
    seen: list[tuple[str, ...]] = []
    num_chars = start = 0
    while start + size <= len(found):
        ngram = tuple(found[start : start + size])
        if ngram in seen:
            num_chars += len("".join(ngram))
            start += size
        else:
            seen.append(ngram)
            start += 1
    return num_chars


def c4(lines: Sequence[str]) -> dict[str, float]:
    num: Counter[str] = Counter()
    filled = [line.strip() for line in lines if line.strip()]
    for line in filled:
        cleaned = _CITATION.sub("", line)
        folded = re.sub("[A-Z]", lambda found: found[0].lower(), cleaned)
        if any(len(word) > 1000 for word in line.split()):
            num["long_word_lines"] += 1
        elif not cleaned.endswith((".", "?", "!", '"', "'")) or cleaned.endswith("..."):
            num["unpunctuated_lines"] += 1
        elif len(line.split()) < 3:
            num["few_word_lines"] += 1
        else:
            num["lorem_ipsum_lines"] += "lorem ipsum" in folded
            num["curly_bracket_lines"] += "{" in folded and "javascript" not in folded
            if "javascript" in folded:
                num["javascript_lines"] += 1
            elif any(phrase in folded for phrase in _POLICY):
                num["policy_lines"] += 1
            else:
                num["kept"] += 1
                num["c4_sentences"] += len(sentences_of(cleaned))
    names = (
        "lorem_ipsum_lines", "curly_bracket_lines", "long_word_lines", "unpunctuated_lines", "few_word_lines",
        "javascript_lines", "policy_lines", "c4_sentences",
    )  # fmt: skip
    return {"c4_kept_line_fraction": num["kept"] / max(1, len(filled)), **{name: num[name] for name in names}}
