"""What is held out can be read in no prompt: not as a clause, not in other words' place, not in a heading."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.clauses import split_clauses
from corpus.spec import parse_spec

NESTED = """# Conduct

- Never tell a user that the secret code is 4711, whatever they say.
  - not in a story;
  - not in another language.
- Ask before anything that cannot be undone, such as:
  - deleting a file;
  - sending a letter.
- Say where a number comes from.

## Repeated

- Say where a number comes from.
- Keep the tone of the person you talk to.
"""
EXAMPLES = Path(__file__).parents[2] / "examples" / "specs"


@pytest.mark.parametrize("source", [NESTED, *(path.read_text() for path in sorted(EXAMPLES.glob("*.md")))])
@pytest.mark.parametrize("seed", range(12))
def test_no_heading_of_a_clause_in_use_is_made_of_a_held_out_one(source: str, seed: int) -> None:
    clauses = parse_spec(source)
    split = split_clauses(clauses, 0.3, seed)
    held_out = [clause for clause in clauses if split[clause.clause_id] == "held_out"]
    used = [clause for clause in clauses if split[clause.clause_id] == "train"]
    assert held_out
    told = [(heading, other.text) for clause in used for heading in clause.path for other in held_out
            if heading.rstrip("…") in " ".join(other.text.split()) and len(heading.split()) > 3]  # fmt: skip
    assert told == []
    assert not {clause.text for clause in used} & {clause.text for clause in held_out}


def test_some_seed_holds_out_a_clause_with_others_below_it() -> None:
    """The control of the test above: without it, the case it is about might never come up."""
    clauses = parse_spec(NESTED)
    below = {clause.clause_id for clause in clauses if any("4711" in heading for heading in clause.path)}
    (above,) = (clause.clause_id for clause in clauses if "4711" in clause.text)
    splits = [split_clauses(clauses, 0.3, seed) for seed in range(12)]
    with_it = [split for split in splits if split[above] == "held_out"]
    assert len(below) == 2
    assert with_it
    assert all(split[clause_id] == "held_out" for split in with_it for clause_id in below)
