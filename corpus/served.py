"""Who wrote: what servers called the models that answered, beside the names that a recipe asks for."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from corpus.inspect.visible import visible
from corpus.stage import Progress
from corpus.store import Store

_SHOWN = 5
"""Names that a note shows of each model."""


def note_changed_models(store: Store, progress: Progress) -> None:
    """Say so where texts of a run that were asked of one model came from several that the server told apart.

    A gateway may answer under a longer name than it was asked for (`gpt-4o` as `gpt-4o-2024-08-06`): that is one.
    A second one means an alias that moved on, a fallback, or another model on the same port, now or since an earlier
    call of this run. Nothing is stopped: fallbacks are some users' wish, and each call says who answered it.
    """
    rows = store.rows(
        "SELECT model, served_model, count(*) AS num_calls FROM calls WHERE served_model IS NOT NULL GROUP BY ALL "
        "ORDER BY model, num_calls DESC, served_model"
    )
    for model, group in groupby(rows, itemgetter("model")):
        names = [f"{visible(str(row['served_model']))} ({row['num_calls']:,} calls)" for row in group]
        if len(names) > 1:
            more = ", ..." if len(names) > _SHOWN else ""
            progress.note(
                f"{model}: {len(names)} models answered for it, {', '.join(names[:_SHOWN])}{more}; to have one only, "
                "name it as engine.model. Which one wrote what is in calls.served_model: specmill sql RECIPE "
                "served_models"
            )
