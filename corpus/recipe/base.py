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


def files_beside_recipe(
    value: list[str | dict[str, Settings | None]], info: ValidationInfo
) -> list[str | dict[str, Settings | None]]:
    """Entries with settings (filters, tasks), whose paths start from the recipe's folder.

    The settings are checked by their room, which no longer knows where the recipe was. Paths are: `model` where it is
    written as one, `NAME_file`, and `path` in each of `files`.
    """

    def place(key: str, setting: object) -> object:
        if isinstance(setting, str) and key == "model":
            return model_beside_recipe(setting, info)
        if isinstance(setting, str) and (key.endswith("_file") or key == "path"):
            return str(beside_recipe(Path(setting), info))
        if isinstance(setting, list) and key == "files":
            return [placed(file) if isinstance(file, Mapping) else file for file in setting]
        return setting

    def placed(settings: Settings | None) -> Settings | None:
        return {key: place(key, setting) for key, setting in settings.items()} if settings else settings

    return [
        entry if isinstance(entry, str) else {name: placed(settings) for name, settings in entry.items()}
        for entry in value
    ]


RecipePath = Annotated[Path, AfterValidator(beside_recipe)]
ModelName = Annotated[str, AfterValidator(model_beside_recipe)]


def names_of(known: Mapping[str, object]) -> str:
    """Known names, for a message."""
    return ", ".join(sorted(known)) or "none"
