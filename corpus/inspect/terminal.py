"""Answers and traces on the screen: results on stdout, all else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from corpus.console import PLAIN_WIDTH, say
from corpus.errors import CorruptFileError, QueryError
from corpus.inspect.answers import choose_format, show_answer, write_answer
from corpus.inspect.shell import read_values, shell
from corpus.inspect.sql import run_sql
from corpus.inspect.trace import trace
from corpus.inspect.trace_tree import render
from corpus.inspect.visible import visible


def answer_or_shell(
    root: Path, query: str | None, wanted: str | None, output: Path | None, pairs: Sequence[str] = ()
) -> None:
    """Answer a query, or ask for queries where there is none; `pairs` are KEY=VALUE, for a named one.

    Raises:
        QueryError: what `run_sql` raises, or an unknown format.
        CorruptFileError: a file does not read back; the answer from the rest was given before.
        StoreError: no run in that folder, or the output cannot be written.
    """
    from rich.console import Console

    if query is None:
        if wanted or output or pairs:
            raise QueryError("--format, --output and -p go with a query, or with the name of one")
        shell(root)
        return
    if output is not None and output.resolve().is_relative_to(root.resolve()):
        raise QueryError(f"--output {output} is in the run, which its own verbs write alone; choose another place")
    kind = choose_format(wanted, output)
    answer = run_sql(root, query, read_values(list(pairs)))
    if output is None and kind == "table" and sys.stdout.isatty():
        Console().print(show_answer(answer.table))
    else:
        write_answer(answer.table, output or sys.stdout.buffer, kind, PLAIN_WIDTH)
    if not answer.table.num_rows:
        say("no rows: what this asks for is not in the run, or not yet")
    if answer.faults:
        # The rest is answered, but nothing that reads the exit code may take it for the whole.
        sys.stdout.flush()
        raise CorruptFileError("rows are missing from this answer: " + "; ".join(map(str, answer.faults)))


def show_trace(root: Path, row_id: str) -> None:
    """Show where a row comes from.

    Raises:
        QueryError: no such id, or more than one.
        StoreError: there is no run in that folder.
    """
    from rich.console import Console

    found = trace(root, row_id)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    console.print(render(found))


def show_messages(prompts: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    """Show what was sent, whole: no markup in it acts, and no control character."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for title, messages in prompts:
        for role, content in messages:
            console.print(Text(f"--- {title}: {role}", style="bold"))
            console.print(Text(visible(content)))
