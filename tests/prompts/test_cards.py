"""Genre cards: ours are distinct and complete; a broken one says where."""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

import prompts

HOME = Path(prompts.__file__).parent
CARD = """---
name: sea shanty
family: fiction
target_words: 120
modes: [shows, describes]
---
## Description
A song.

## Voice
Loud.

## Form
Verses.

## Realism
Salt.

## Avoid
Land.

## Writers
- a boatswain
- a cook

## Readers
- the crew
- those ashore

## Situations
- One.
- Two,
  which goes on.
- Three.

## Consequences
- They sailed.
- They stayed.
"""


def own_text(card: prompts.Genre) -> list[str]:
    texts = [card.description, card.voice, card.form, card.realism, card.avoid]
    return [*texts, *card.writers, *card.readers, *card.situations, *card.consequences]


def sentences(card: prompts.Genre) -> set[str]:
    """Lower-case words of each sentence, without punctuation."""
    parts = itertools.chain.from_iterable(re.split(r"(?<=[.!?;:])\s+", text) for text in own_text(card))
    return {" ".join(re.findall(r"[a-z0-9']+", part.lower())) for part in parts}


def test_there_are_enough_cards_and_every_family_has_some() -> None:
    cards = prompts.genres()
    families = Counter(card.family for card in cards.values())
    assert len(cards) >= 48
    assert set(families) == set(get_args(prompts.Family))
    assert min(families.values()) >= 3
    assert {"internal memo", "forum discussion", "design review"} <= set(cards)


def test_no_two_cards_share_a_sentence() -> None:
    counts = Counter(itertools.chain.from_iterable(sentences(card) for card in prompts.genres().values()))
    assert [sentence for sentence, cards in counts.items() if cards > 1] == []


def test_no_card_repeats_itself() -> None:
    for card in prompts.genres().values():
        assert len(set(own_text(card))) == len(own_text(card)), card.name


def test_every_card_has_words_enough_of_its_own() -> None:
    short = {card.name: len(" ".join(own_text(card)).split()) for card in prompts.genres().values()}
    assert {name: words for name, words in short.items() if words < 60} == {}


def test_our_axes_are_long_enough_to_make_some_thousand_ideas_of_each_card() -> None:
    for card in prompts.genres().values():
        lengths = [len(axis) for axis in (card.writers, card.readers, card.situations, card.consequences)]
        assert lengths == [5, 4, 6, 5], card.name


def test_writers_and_readers_are_noun_phrases_and_the_other_axes_sentences() -> None:
    for card in prompts.genres().values():
        for phrase in (*card.writers, *card.readers):
            assert not phrase.endswith(".") and not re.search(r"[.!?;]\s", phrase), f"{card.name}: {phrase}"
            assert 2 <= len(phrase.split()) <= 18, f"{card.name}: {phrase}"
        for sentence in (*card.situations, *card.consequences):
            assert sentence.endswith(".") and not re.search(r"[.!?]\s", sentence), f"{card.name}: {sentence}"
            assert sentence[0].isupper() and 6 <= len(sentence.split()) <= 36, f"{card.name}: {sentence}"


def test_no_card_holds_template_marks_or_blanks() -> None:
    """A placeholder in a card would come back in documents."""
    for card in prompts.genres().values():
        assert not re.search(r"[{}\[\]]|https?:|\d{4}", " ".join(own_text(card))), card.name


def test_a_card_is_found_under_its_name() -> None:
    names = {path.stem.replace("_", " ") for path in (HOME / "genres").glob("*.md")}
    assert names == set(prompts.genres())


def test_our_lengths_fit_in_the_default_reply() -> None:
    """800 tokens hold about 600 words; a reply that overshoots by a third is still whole."""
    assert max(card.target_words for card in prompts.genres().values()) <= 450


def test_a_folder_adds_cards_and_takes_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "shanty.md").write_text(CARD, encoding="utf-8")
    (tmp_path / "memo.md").write_text(CARD.replace("sea shanty", "internal memo"), encoding="utf-8")
    ours, both = prompts.genres(), prompts.genres(tmp_path)
    assert set(both) - set(ours) == {"sea shanty"}
    assert both["internal memo"].description == "A song."
    assert both["design review"] == ours["design review"]
    assert list(both) == sorted(both)


def test_a_card_is_read_field_by_field(tmp_path: Path) -> None:
    (tmp_path / "shanty.md").write_bytes(CARD.replace("\n", "\r\n").encode())
    card = prompts.genres(tmp_path)["sea shanty"]
    assert (card.family, card.target_words, card.voice, card.avoid) == ("fiction", 120, "Loud.", "Land.")
    assert card.situations == ("One.", "Two, which goes on.", "Three.")
    assert (card.modes, card.writers, card.readers) == (
        ("shows", "describes"), ("a boatswain", "a cook"), ("the crew", "those ashore")
    )  # fmt: skip
    assert (card.temperature, card.top_p, card.min_p) == (None, None, None)


def test_the_hash_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shanty.md"
    path.write_text(CARD, encoding="utf-8")
    before = prompts.genres(tmp_path)["sea shanty"].hash
    assert prompts.genres(tmp_path)["sea shanty"].hash == before
    path.write_text(CARD + "\n", encoding="utf-8")
    assert prompts.genres(tmp_path)["sea shanty"].hash != before


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("---\nname", "name", 1, "starts with front matter"),
        ("name: sea shanty", "name: [sea", 3, "not YAML"),
        ("name: sea shanty\n", "", 2, "this one: family, target_words, modes"),
        ("family: fiction", "family: fiction\ncolour: blue", 2, "colour"),
        ("family: fiction", "family: song", 3, "family: Input should be 'internal'"),
        ("target_words: 120", "target_words: many", 4, "target_words: Input should be a valid integer"),
        ("target_words: 120", "target_words: 1", 4, "greater than or equal to 50"),
        ("[shows, describes]", "[sings]", 5, "modes: Input should be 'shows' or 'describes'"),
        ("modes:", "temperature: 3\nmodes:", 5, "temperature: Input should be less than or equal to 2"),
        ("sea shanty", "Sea Shanty", 2, "name: String should match"),
        ("## Voice", "## Tone", 10, "unknown section 'Tone'"),
        ("## Voice", "## Form", 13, "a second section 'Form'"),
        ("Loud.", "", 10, "voice: String should have at least 1 character"),
        ("## Avoid\nLand.\n", "", 37, "no section Avoid"),
        ("- Three.\n", "", 31, "situations: Tuple should have at least 3 items"),
        ("- Three.", "Three.", 34, "not a bullet"),
        ("## Description", "Stray.\n## Description", 7, "text above the first section"),
    ],
)
def test_a_broken_card_names_its_file_and_line(tmp_path: Path, old: str, new: str, line: int, problem: str) -> None:
    path = tmp_path / "shanty.md"
    path.write_text(CARD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(prompts.PromptError, match=re.escape(f"{path}:{line}: ") + ".*" + re.escape(problem)):
        prompts.genres(tmp_path)


def test_a_card_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "shanty.md"
    path.write_bytes(CARD.replace("Loud.", "Lo\u00fcd.").encode("latin-1"))
    with pytest.raises(prompts.PromptError, match=re.escape(f"{path}:11: byte 0xfc is not UTF-8")):
        prompts.genres(tmp_path)


def test_two_cards_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(CARD, encoding="utf-8")
    with pytest.raises(prompts.PromptError, match=r"b\.md:2: a second card named 'sea shanty'"):
        prompts.genres(tmp_path)


def test_a_folder_without_cards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(prompts.PromptError, match="no genre card"):
        prompts.genres(tmp_path)


def test_the_six_kinds_of_question_are_there() -> None:
    kinds = prompts.question_kinds()
    assert list(kinds) == ["direct", "indirect", "comparison", "recommendation", "opinion", "edge_case"]
    assert all(1 <= note.count(".") <= 2 and note.endswith(".") for note in kinds.values())
    assert list(prompts.question_endings()) == list(kinds)
    assert len(set(prompts.question_endings().values())) == len(kinds)


def test_the_room_imports_nothing_of_ours() -> None:
    allowed = {*sys.stdlib_module_names, "jinja2", "pydantic", "yaml", "prompts"}
    for path in HOME.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}: relative import"
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in imported} <= allowed, path.name
