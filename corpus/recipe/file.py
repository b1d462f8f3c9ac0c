"""Reads a recipe file, with overrides, and says in one message all that is wrong with it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import cast

import yaml
from pydantic import BaseModel, ValidationError

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe


class _UniqueKeys(yaml.SafeLoader):
    """Safe YAML in which a key stands once: of two, YAML takes the last without a word."""

    # One of vLLM's libraries makes texts of the dates of every safe loader; a recipe reads the same after it.
    yaml_constructors = yaml.SafeLoader.yaml_constructors | {
        "tag:yaml.org,2002:timestamp": yaml.SafeLoader.construct_yaml_timestamp
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                lines = f"lines {seen[key]} and {key_node.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands in {lines}; keep one")
            seen[key] = key_node.start_mark.line + 1
        return dict(super().construct_mapping(node, deep))


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, or the recipe of a run folder, with `key.path=value` overrides (values are YAML).

    Raises:
        RecipeError: not there, not YAML, an unknown key, a wrong value; the message says which and what to do.
    """
    file = path / "recipe.yaml" if path.is_dir() else path
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), _UniqueKeys)  # it is a safe loader
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe at {file}; write one with: specmill init") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{file} should hold keys and values, such as 'name: my-run'; it holds {data!r:.80}")
    for override in overrides:
        _override(data, override)
    try:
        recipe = Recipe.model_validate(data, context={"base": file.parent})
    except ValidationError as error:
        raise RecipeError(f"{file}: {explain(error, Recipe)}") from None
    # A run folder may have been moved or copied: its own place holds, not the one it was made in.
    return (
        recipe.model_copy(update={"runs": path.resolve().parent, "name": path.resolve().name})
        if path.is_dir()
        else recipe
    )


def _override(data: dict[str, object], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"-o {override!r} is not of the form key.path=value, such as -o generate.documents=20")
    *parents, last = key.split(".")
    place = data
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        step = place[parent]
        if not isinstance(step, dict):
            raise RecipeError(f"-o {override!r}: '{parent}' holds {step!r:.60}, which has no keys below it")
        place = cast("dict[str, object]", step)
    try:
        place[last] = yaml.load(value, _UniqueKeys)  # it is a safe loader
    except yaml.YAMLError as error:
        raise RecipeError(f"-o {override!r}: the value is not YAML: {error}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """All faults of a validation in one message, each with its key, the value seen and the nearest known key."""
    lines = []
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _known_keys(model, fault["loc"][:-1])
            lines.append(f"unknown key '{where}'; {nearest(str(fault['loc'][-1]), known)}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            seen = "" if isinstance(fault["input"], dict) else f" (got {fault['input']!r:.80})"
            lines.append(f"{where}: {message}{seen}" if where else message)
    return "; ".join(lines)


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at `location`, followed through optional sections and named ones."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None:
            break
        field = current.model_fields.get(str(part))
        if field is not None:
            current = _section_in(field.annotation)
    return sorted(current.model_fields) if current else []


def _section_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_in(inner)
        if found is not None:
            return found
    return None
