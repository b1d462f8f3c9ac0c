"""What every section of a recipe shares: frozen, no unknown keys, names and paths that mean one thing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

Settings = Mapping[str, object]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
"""Names become folders: letters, digits, '.', '_', '+' and '-'."""
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""As other names, without the '+' that joins stages to a chain."""


class Section(BaseModel):
    """What every part of a recipe shares: frozen, no unknown keys, docstrings as descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


def beside_recipe(value: Path, info: ValidationInfo) -> Path:
    """A path in a recipe starts from the recipe's own folder."""
    base = (info.context or {}).get("base")
    return (Path(base) / value.expanduser()).resolve() if base else value


def model_beside_recipe(value: str, info: ValidationInfo) -> str:
    """A model written as a path ('./x', '../x', '/x', '~/x') is one beside the recipe; anything else is a name."""
    return str(beside_recipe(Path(value), info)) if value.startswith((".", "/", "~")) else value


RecipePath = Annotated[Path, AfterValidator(beside_recipe)]
ModelName = Annotated[str, AfterValidator(model_beside_recipe)]


def names_of(known: Mapping[str, object]) -> str:
    """Known names, for a message."""
    return ", ".join(sorted(known)) or "none"
