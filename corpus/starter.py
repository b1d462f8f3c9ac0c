"""What `specmill init` writes."""

from __future__ import annotations

from pathlib import Path

from corpus.errors import RecipeError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def write_starter(folder: Path) -> Path:
    """Copy the demo's recipe and spec into `folder`, as something to change; returns the recipe's path.

    Raises:
        RecipeError: there is a recipe or a spec in `folder` already.
    """
    recipe, spec = folder / "recipe.yaml", folder / "spec.md"
    for path in (recipe, spec):
        if path.exists():
            raise RecipeError(f"{path} is there already; choose another folder: specmill init DIR")
    folder.mkdir(parents=True, exist_ok=True)
    text = (EXAMPLES / "demo.yaml").read_text(encoding="utf-8")
    assert "specs/honest.md" in text and "name: demo" in text, "examples/demo.yaml has changed: mend this"
    recipe.write_text(text.replace("specs/honest.md", "spec.md").replace("name: demo", "name: first"), encoding="utf-8")
    spec.write_bytes((EXAMPLES / "specs" / "honest.md").read_bytes())
    return recipe
