"""Looking at a run: SQL, named queries, traces, status, report. It reads the views only; nothing is locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def answer_or_shell(
    root: Path, query: str | None, wanted: str | None, output: Path | None, pairs: Sequence[str] = ()
) -> None:
    """Answer a query, or a named one with its KEY=VALUE `pairs`, on stdout or into a file; without a query, a shell.

    Raises:
        QueryError: not one statement that reads, it does not run, or the format is unknown.
        StoreError: no run in that folder, or the output cannot be written.
    """
    from corpus.inspect import terminal

    terminal.answer_or_shell(root, query, wanted, output, pairs)


def query_table() -> list[dict[str, object]]:
    """The named queries: name, what each answers, the parameters it takes."""
    from corpus.inspect.named import named_queries

    return [
        {
            "name": query.name,
            "answers": query.answers,
            "parameters": " ".join(
                f"[-p {one.name}=]" if one.is_optional else f"-p {one.name}=" for one in query.parameters
            ),
        }
        for query in named_queries().values()
    ]


def show_trace(root: Path, row_id: str) -> None:
    """Show on stdout where a row comes from.

    Raises:
        QueryError: no such id, or more than one.
        StoreError: no run in that folder.
    """
    from corpus.inspect import terminal

    terminal.show_trace(root, row_id)


def show_messages(prompts: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    """Show on stdout titled lists of messages, each a role and a content."""
    from corpus.inspect import terminal

    terminal.show_messages(prompts)


def funnel(root: Path) -> list[dict[str, object]]:
    """How many documents and chats are left at each step: step, documents, chats."""
    from corpus.inspect import status

    return status.funnel(root)


def status_tables(root: Path) -> list[tuple[str, list[dict[str, object]]]]:
    """Tables that say where a run stands, each with its title."""
    from corpus.inspect import status

    return status.status_tables(root)


def write_report(
    root: Path, arms: Sequence[Mapping[str, object]], other: tuple[Path, Sequence[Mapping[str, object]]] | None = None
) -> Path:
    """Write `report.html` into the run, one self-contained file; returns its path.

    Args:
        root: the run's folder.
        arms: rows of the arms table, which the eval room makes: arm, metric, value, low, high, and what else.
        other: the folder of a run to set beside this one, and its arms table.
    """
    from corpus.inspect import report

    return report.write_report(root, arms, other)
