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
    each arm of the recipe with its stages. About `mix`: each stage with the mix that it reads. About `mix_contents`:
    what a mix of another run holds, by its parts. About `data`: each stage with the hash of the shards that it would
    read now; a stage whose shards are not made is not there.
    """
    rows = [(table, scope, value) for table, hashes in current.items() for scope, value in hashes.items()]
    recipe = _recipe(root)
    for arm, chain in _mapping(recipe, "arms").items():
        rows.append(("chain", arm, "+".join(cast("list[str]", chain or []))))
    for stage, settings in _mapping(recipe, "train", "stages").items():
        mix = str(cast("dict[str, object]", settings).get("data", ""))
        rows.append(("mix", stage, mix))
        told = _told_of(root, mix)
        if told is not None:
            rows.append(("mix_contents", stage, told))
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


def _told_of(root: Path, data: str) -> str | None:
    """What a mix of another run holds, as its manifest says; None for a mix of this run, whose rows are here."""
    manifest = _manifest(root, data) if ":" in data else None
    if manifest is None:
        return None
    try:
        parts = cast("list[dict[str, object]]", manifest["parts"])
        total = sum(int(str(part["tokens"])) for part in parts) or 1
        return ", ".join(
            f"{part['genre'] or part['set'] or part['clause'] or 'all'} {100 * int(str(part['tokens'])) / total:.1f} %"
            for part in parts
        )
    except (KeyError, TypeError, ValueError):
        return None


def _data_hash(root: Path, data: str) -> str | None:
    """Of a mix of this run, or of another one beside it (`other_run:docs`)."""
    manifest = _manifest(root, data)
    value = None if manifest is None else manifest.get("data_hash")
    return None if value is None else str(value)


def _manifest(root: Path, data: str) -> dict[str, object] | None:
    other, _, mix = data.rpartition(":")
    folder = root.parent / other if other else root
    try:
        read = json.loads((folder / "shards" / mix / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return None
    return cast("dict[str, object]", read) if isinstance(read, dict) else None
