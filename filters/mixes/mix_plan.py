"""What a mix would hold, and what it lacks, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.clause_names import ClauseNames
from corpus.counting import refuse_other_tokenizer
from corpus.errors import RecipeError, nearest
from corpus.held_out import is_held_out_document
from corpus.recipe import Duplicates, Mix, Recipe
from corpus.store import Store
from filters.copies.candidates import rows_among
from filters.copies.duplicates import find_duplicates
from filters.curate import check_curated
from filters.mixes.mix_checks import check_clauses, check_left_out, check_twins, in_no_part, without_effect
from filters.mixes.sampling import (
    Filled,
    Part,
    Pick,
    Picked,
    Source,
    divide,
    fill,
    largest_budget,
    named_clauses,
    natural_budget,
)
from filters.mixes.shortfall import Shortfall, find_shortfalls
from filters.mixes.unique import Clusters, clusters_among, unique_tokens

_SOURCES = {
    "documents": "SELECT doc_id AS id, set, genre, num_tokens, clause_ids, strlen(text) AS num_bytes FROM curated "
    "ORDER BY id",
    "chats": "SELECT chat_id AS id, set, NULL AS genre, num_tokens, clause_ids, "
    "coalesce(list_sum([strlen(message.content) FOR message IN messages]), 0)::BIGINT AS num_bytes "
    "FROM curated_chats WHERE twin_id IS NULL OR $both OR reasoning = $reasoning ORDER BY id",
}


@dataclass(frozen=True)
class MixPlan(Picked):
    """The rows of a mix, in order, with its targets beside them."""

    name: str
    family: str
    """Mixes of one family are of one size and draw the same rows first."""
    settings: Mix
    budget: int
    """Tokens wanted."""
    num_sources: int
    """Curated rows that it could hold."""
    num_held_out: int
    """Curated documents that no mix may hold, because held-out perplexity is measured on them."""
    cells: tuple[Filled, ...]
    """Targets and what there is, by set, genre and clause."""
    picks: tuple[Pick, ...]
    """Rows in the order of training."""
    clusters: Clusters
    shortfalls: tuple[Shortfall, ...]
    notes: tuple[str, ...]
    """What was decided and should be known."""

    @property
    def distinct_tokens(self) -> int:
        """Tokens of its rows, each once."""
        return sum(pick.source.num_tokens for pick in self.picks if not pick.repeat)

    @property
    def unique_tokens(self) -> int:
        """Effective tokens: each row, and each cluster of near-duplicates, once."""
        return unique_tokens(self.picks, self.clusters)

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person: target against actual, and what would fill what is short."""
        whole = max(1, self.num_tokens)
        cells: list[dict[str, object]] = [
            {
                "part": filled.cell.label,
                "target share": float(filled.cell.share),
                "share": filled.num_tokens / whole,
                "target tokens": filled.target_tokens,
                "tokens": filled.num_tokens,
                "rows": len(filled.picks),
                "distinct rows": filled.num_distinct_rows,
                "unique tokens": unique_tokens(filled.picks, self.clusters),
                "available tokens": filled.available_tokens,
                "short": filled.missing_tokens,
            }
            for filled in self.cells
        ]
        total: dict[str, object] = {
            "part": "all",
            "target share": 1.0,
            "share": 1.0,
            "target tokens": self.budget,
            "tokens": self.num_tokens,
            "rows": len(self.picks),
            "distinct rows": self.num_distinct_rows,
            "unique tokens": self.unique_tokens,
            "available tokens": sum(filled.available_tokens for filled in self.cells),
            "short": sum(filled.missing_tokens for filled in self.cells),
        }
        fills: list[dict[str, object]] = [
            {
                "part": one.filled.cell.label,
                "short of tokens": one.filled.missing_tokens,
                "what would fill it": one.remedy,
            }
            for one in self.shortfalls
        ]
        return [
            (f"mix {self.name}: target against actual", [*cells, total] if len(cells) > 1 else cells),
            (f"mix {self.name}: shortfalls", fills),
        ]


def plan_mix(recipe: Recipe, store: Store, name: str) -> MixPlan:
    """See `filters.plan_mix`."""
    mixes = recipe.every_mix()
    if name not in mixes:
        raise RecipeError(f"the recipe has no mix '{name}'; {nearest(name, mixes)}")
    settings, family = mixes[name]
    check_curated(recipe, store, settings.kind)
    refuse_other_tokenizer(recipe, store)
    check_twins(store, settings, name)
    names = ClauseNames.of_run(store)
    check_clauses(settings, name, names)
    check_left_out(store, {member: its for member, (its, its_family) in mixes.items() if its_family == family})
    everything, num_held_out = _sources(recipe, store, settings)
    parts_of = (
        names.singles() if settings.weights("clauses") is None else names.parts(settings.weights("clauses") or ())
    )
    everything = named_clauses(settings, parts_of, everything)
    members: dict[str, tuple[Mix, list[Part]]] = {}
    for member, (its_settings, its_family) in mixes.items():
        if its_family == family:
            its_settings, sources = _without(its_settings, names, everything)
            members[member] = its_settings, divide(its_settings, sources)
    budget, notes = _budget(name, members)
    asked, parts = members[name]
    notes += without_effect(name, settings, everything)
    notes += in_no_part(name, asked, parts, everything)
    cells = fill(asked, parts, budget, recipe.seed, family)
    picks = sorted((pick for filled in cells for pick in filled.picks), key=lambda pick: (pick.order, pick.source.id))
    return MixPlan(
        name=name,
        family=family,
        settings=asked,
        budget=budget,
        num_sources=len(everything),
        num_held_out=num_held_out,
        cells=tuple(cells),
        picks=tuple(picks),
        clusters=clusters_among(recipe, store, asked.kind, list({pick.source.id for pick in picks})),
        shortfalls=find_shortfalls(recipe, store, asked, name, cells, everything, parts_of),
        notes=tuple(notes),
    )


def _sources(recipe: Recipe, store: Store, settings: Mix) -> tuple[list[Source], int]:
    """The rows that may go into the mix, and how many documents are held out of every mix.

    What says the same as a held-out document is held out with it: curation leaves one of them only, and where it looks
    for no duplicates, they are looked for here.
    """
    columns = store.query(_SOURCES[settings.kind], _reasoning(settings)).to_pydict()
    found = [
        Source(row_id, set_name, genre, num_tokens, num_bytes, tuple(clause_ids or ()))
        for row_id, set_name, genre, num_tokens, clause_ids, num_bytes in zip(*columns.values(), strict=True)
    ]
    if settings.kind == "chats":
        return found, 0
    held = {source.id for source in found if is_held_out_document(recipe.seed, source.id)}
    if recipe.curate.duplicates is None and held:
        rows, read = rows_among(store, "documents", [source.id for source in found])
        members = find_duplicates(rows, read, Duplicates()).select(["doc_id", "cluster_id"]).to_pylist()
        clusters = {member["cluster_id"] for member in members if member["doc_id"] in held}
        held |= {member["doc_id"] for member in members if member["cluster_id"] in clusters}
    free = [source for source in found if source.id not in held]
    return free, len(found) - len(free)


def _reasoning(settings: Mix) -> dict[str, object]:
    if settings.kind == "documents":
        return {}
    return {"both": settings.reasoning in ("both", None), "reasoning": settings.reasoning == "with"}


def _without(settings: Mix, names: ClauseNames, sources: Sequence[Source]) -> tuple[Mix, list[Source]]:
    """The rows that are not left out, and the settings with all that is left out by name."""
    out = settings.leave_out
    clauses = {clause_id for pattern in out.clauses for clause_id in names.fitting(pattern)}
    left = [
        source
        for source in sources
        if source.set not in out.sets and source.genre not in out.genres and clauses.isdisjoint(source.clause_ids)
    ]
    gone = [pattern for pattern in settings.weights("clauses") or () if names.fitting(pattern) <= clauses]
    out = out.model_copy(update={"clauses": sorted({*out.clauses, *gone})})
    return settings.model_copy(update={"leave_out": out}), left


def _budget(name: str, members: Mapping[str, tuple[Mix, list[Part]]]) -> tuple[int, list[str]]:
    """Tokens of the mix, the same for all of its family, and what should be known of it."""
    settings = members[name][0]
    nothing = "".join(
        f"\n  {member}: no rows of {', '.join(part.cell.label for part in its[1] if not part.tokens) or 'any part'}"
        for member, its in members.items()
        if not largest_budget(*its)
    )
    if nothing and len(members) > 1:
        raise RecipeError(
            f"mixes of one size cannot be had beside '{name}':{nothing}\nBring such rows in, or name others"
        )
    if settings.budget is None:
        return min(natural_budget(*member) for member in members.values()), []
    if len(members) == 1:
        return settings.budget, []
    largest = {member: largest_budget(*its) for member, its in members.items()}
    short = {member: tokens for member, tokens in largest.items() if tokens < settings.budget}
    if not short:
        return settings.budget, []
    lines = "".join(f"\n  {member}: at most {tokens:,} tokens" for member, tokens in short.items())
    if settings.shortfall == "refuse":
        raise RecipeError(
            f"mixes of one size cannot be had with {settings.budget:,} tokens, the budget of '{name}':{lines}\n"
            f"Lower the budget to {min(largest.values()):,}, leave it out, raise repeats ({settings.repeats}), or set "
            "shortfall: allow"
        )
    return min(largest.values()), [
        f"the mixes beside '{name}' cannot all have {settings.budget:,} tokens; each gets "
        f"{min(largest.values()):,}:{lines}"
    ]


def check_shortfall(plan: MixPlan) -> None:
    """Refuse a mix of nothing, and one that is short where the recipe does not allow it.

    Raises:
        RecipeError: it is; the message says of what, and what would fill it.
    """
    lines = shortfall_lines(plan)
    sources = f"{plan.num_sources} curated {plan.settings.kind} (held out: {plan.num_held_out})"
    if not plan.picks:
        raise RecipeError(f"mix '{plan.name}' would be empty; there are {sources}{lines}")
    if plan.shortfalls and plan.settings.shortfall == "refuse":
        raise RecipeError(
            f"mix '{plan.name}' asks for more than there is:{lines}\nThere are {sources}. Fill it as said, lower "
            f"mixes.{plan.family}.tokens, raise repeats ({plan.settings.repeats}), or set shortfall: allow"
        )


def shortfall_lines(plan: MixPlan) -> str:
    """What is short, a line each."""
    return "".join(f"\n  {one.line}" for one in plan.shortfalls)
