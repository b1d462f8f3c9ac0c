"""What holds at present, as rows: which hashes are current, what an arm is, and which data a stage would train on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

Value = tuple[str, str, str]
"""about, name, value."""


def present_values(root: Path, current: Mapping[str, Mapping[str, str]]) -> list[Value]:
    """What SQL sees in the view `current_values`.

    About a table: each scope with its current hash, and what its room noted, with '@' before its name. About `chain`:
    each arm of the recipe with its stages. About `mix`: each stage with the mix that it reads. About `data`: each stage
    of the recipe with the hash of the shards that it would read now; a stage whose shards are not made is not there.
    """
    rows = [(table, scope, value) for table, hashes in current.items() for scope, value in hashes.items()]
    recipe = _recipe(root)
    for arm, chain in _mapping(recipe, "arms").items():
        rows.append(("chain", arm, "+".join(cast("list[str]", chain or []))))
    for stage, settings in _mapping(recipe, "train", "stages").items():
        mix = str(cast("dict[str, object]", settings).get("data", ""))
        rows.append(("mix", stage, mix))
        data_hash = _data_hash(root, mix)
        if data_hash is not None:
            rows.append(("data", stage, data_hash))
    return sorted(rows)


def _recipe(root: Path) -> object:
    """The run's recipe; nothing where there is none: a run of tests, or one whose first verb was killed."""
    try:
        return yaml.safe_load((root / "recipe.yaml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}


def _mapping(tree: object, *names: str) -> dict[str, object]:
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return cast("dict[str, object]", tree) if isinstance(tree, dict) else {}


def _data_hash(root: Path, data: str) -> str | None:
    """Of a mix of this run, or of another one beside it (`other_run:docs`)."""
    other, _, mix = data.rpartition(":")
    folder = root.parent / other if other else root
    try:
        return str(json.loads((folder / "shards" / mix / "manifest.json").read_bytes())["data_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
