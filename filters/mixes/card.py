"""The dataset card of a mix: a README that says what made it, and that the `datasets` library loads it by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import pyarrow as pa
import yaml

from corpus.inspect.visible import shortened, visible
from corpus.recipe import Recipe
from filters.mixes.card_facts import Facts
from filters.mixes.mix_plan import MixPlan
from filters.mixes.shards import Shard, shard_schema

MAX_LINES = 100
"""Lines of one table of counts; what is left out is counted."""
_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"), (10**9, "100M<n<1B"),
)  # fmt: skip
"""The hub's size categories, by their upper end (rows)."""
_MARKS = re.compile(r"([\\`*_\[\]#|<>~$&@]|:(?=//)|(?<=www)\.)")
"""What Markdown obeys within a line, GitHub's links and formulas included."""


def card_text(recipe: Recipe, plan: MixPlan, facts: Facts, manifest: Mapping[str, object]) -> str:
    """The card; `manifest` is all of it but for the card's own hash."""
    head = yaml.safe_dump(front_matter(recipe, plan, facts, manifest), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n" + "\n".join(_body(recipe, plan, facts, manifest)) + "\n"


def front_matter(recipe: Recipe, plan: MixPlan, facts: Facts, manifest: Mapping[str, object]) -> dict[str, object]:
    """What programs read: licence, size, the files of the split and the type of every column."""
    shards = cast("Sequence[Shard]", manifest["shards"])
    num_rows = len(plan.picks)
    return {
        "pretty_name": f"{recipe.name}: {plan.name}",
        "license": plan.settings.license,
        "task_categories": ["text-generation"],
        "size_categories": [next((name for end, name in _SIZES if num_rows < end), "n>1T")],
        "tags": [*(["synthetic"] if facts.models else []), "specmill"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": [one["file"] for one in shards]}]}
        ],
        "dataset_info": {
            "config_name": "default",
            "features": [_feature(field.name, field.type) for field in shard_schema(plan.settings.kind)],
            "splits": [
                {"name": "train", "num_examples": num_rows, "num_bytes": sum(one["text_bytes"] for one in shards)}
            ],
        },
    }


def _feature(name: str, type_: pa.DataType) -> dict[str, object]:
    """A column as `datasets` spells its type."""
    if pa.types.is_list(type_):
        return {"name": name, "list": [_feature(field.name, field.type) for field in type_.value_type]}
    return {"name": name, "dtype": str(type_)}


def _body(recipe: Recipe, plan: MixPlan, facts: Facts, manifest: Mapping[str, object]) -> Iterable[str]:
    kind = plan.settings.kind
    content = "`messages` (a list of `role` and `content`)" if kind == "chats" else "`text`"
    yield f"# {plain(recipe.name)}: {plain(plan.name)}"
    yield ""
    yield (
        f"{len(plan.picks):,} {kind}, {plan.num_tokens:,} tokens as the tokenizer of "
        f"{plain(_name(recipe.train.model))} counts them, in the order of training: {content}. Made with Specmill."
    )
    yield from _section("What made it")
    if recipe.spec is not None:
        yield (
            f"A Model Spec for {plain(recipe.spec.model_name)} of {plain(recipe.spec.provider_name)}, and models that "
            "wrote about it or acted on it:"
        )
        yield ""
    written = sum(facts.models.values())
    imported = plan.num_distinct_rows - written
    yield from _table(
        ["written by", "distinct rows"], [*facts.models.items(), *([("imported", imported)] if imported else [])]
    )
    yield ""
    prompts = ", ".join(f"`{one}`" for one in facts.prompts) or "none"
    hashes = ("recipe_hash", "spec_hash", "data_hash", "tokenizer_hash", "code_version")
    engine = [("engine", recipe.engine.kind)] if facts.models else []
    yield from _table(["", "value"], [*engine, *((name, manifest[name] or "not known") for name in hashes)])
    yield ""
    yield (
        f"Prompts: {prompts}. `manifest.json` has the hash of every shard, filter and pass. Random choices are drawn "
        f"from the seed {recipe.seed}."
    )
    yield from _section("Licence")
    yield (
        f"`{plan.settings.license}`, as the recipe says (`mixes.{plan.family}.license`). Whether the licence of each "
        "model above, and of what was imported, allows that was not checked."
    )
    yield from _section("What it holds")
    yield from _holds(plan)
    for axis, counts in facts.by.items():
        if counts:
            yield ""
            lines = [(name, one.rows, one.distinct_rows, one.tokens) for name, one in counts.items()]
            yield from _table([axis, "rows", "distinct rows", "tokens"], lines[:MAX_LINES])
            if len(lines) > MAX_LINES:
                yield f"\n{len(lines) - MAX_LINES:,} more, with fewer tokens."
    if facts.by["clause"]:
        yield "\nA row that came from several clauses counts under each of them."
    yield from _section("What was left out")
    yield from _left_out(plan, facts)
    yield from _section("Limits")
    yield (
        "Texts that a model wrote may be wrong, alike in what this pipeline does not measure, and are about the spec "
        "as the model read it. Filters and duplicates are as good as their thresholds. Nobody read it all."
    )


def _holds(plan: MixPlan) -> Iterable[str]:
    yield (
        f"{plan.num_distinct_rows:,} distinct rows of {plan.distinct_tokens:,} tokens; with each cluster of "
        f"near-duplicates counted once, {plan.unique_tokens:,} tokens ({plan.clusters.basis}). A row may stand in it "
        f"{'once' if plan.settings.repeats == 1 else f'up to {plan.settings.repeats} times'}."
    )
    yield ""
    yield from _table(
        ["part", "target share", "share", "target tokens", "tokens"],
        [
            (
                filled.cell.label,
                f"{float(filled.cell.share):.4f}",
                f"{filled.num_tokens / max(1, plan.num_tokens):.4f}",
                filled.target_tokens,
                filled.num_tokens,
            )
            for filled in plan.cells
        ],
    )


def _left_out(plan: MixPlan, facts: Facts) -> Iterable[str]:
    out = plan.settings.leave_out
    named = [f"{axis}: {plain(name)}" for axis, names in out.model_dump().items() for name in names]
    if named:
        yield f"On purpose, {'; '.join(named)}. Mixes of the family `{plan.family}` have the same number of tokens."
        yield ""
    kind = plan.settings.kind
    yield (
        f"Of the run's {kind}, {facts.num_duplicates:,} gave way to a duplicate; {plan.num_held_out:,} curated ones "
        f"and {facts.num_held_out_clauses:,} clauses of the spec are held out, to be measured on."
    )
    if facts.verdicts:
        yield ""
        yield from _table(["filter", "outcome", "rows"], [(*place, num) for place, num in facts.verdicts.items()])


def _section(title: str) -> Iterable[str]:
    yield from ("", f"## {title}", "")


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else plain(str(cell)) for cell in row)} |"


def plain(text: str) -> str:
    """Text of models, specs and imports as a line of Markdown that shows it and obeys nothing in it."""
    return _MARKS.sub(r"\\\1", shortened(visible(" ".join(text.split()), keep=""), 120))


def _name(model: str) -> str:
    """A model without its place on this machine."""
    return model.rstrip("/").rpartition("/")[2] if model.startswith(("/", "~", ".")) else model
