"""A small shell for SQL over a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import QueryError
from corpus.inspect.answers import show_answer
from corpus.inspect.named import named_queries
from corpus.inspect.sql import run_sql

if TYPE_CHECKING:
    from rich.console import Console

HISTORY = Path("~/.cache/specmill/history")
HELP = "end a statement with ;   .tables   .queries   .help   .quit"


def shell(
    root: Path, console: Console | None = None, read_line: Callable[[str], str] = input, history: Path = HISTORY
) -> None:
    """Ask for statements and answer them until `.quit` or the end of the input. Each sees the run as it then is.

    Args:
        root: the run's folder.
        console: where answers go; stdout if left out.
        read_line: asks with a prompt and gives a line; raises EOFError at the end.
        history: keeps the statements of a person at a terminal.

    Raises:
        StoreError: there is no run in that folder.
    """
    from rich.console import Console

    console = console or Console()
    _keep_history(history.expanduser())
    console.print(f"{root.name}: {HELP}", markup=False, highlight=False)
    waiting: list[str] = []
    while True:
        try:
            line = read_line("   ...> " if waiting else "specmill> ")
        except EOFError:
            return
        except KeyboardInterrupt:
            waiting.clear()
            continue
        word = line.strip()
        if not waiting and word in (".quit", ".exit", ".q"):
            return
        if not waiting and word.startswith("."):
            _answer_command(root, word, console)
            continue
        waiting.append(line)
        # A name needs no `;`: it is no statement that could go on.
        if word.endswith(";") or (len(waiting) == 1 and word in named_queries()):
            _answer(root, "\n".join(waiting), console)
            waiting.clear()
        elif not any(part.strip() for part in waiting):
            waiting.clear()


def _answer_command(root: Path, word: str, console: Console) -> None:
    if word == ".tables":
        _answer(root, "SHOW TABLES", console)
    elif word == ".queries":
        for query in named_queries().values():
            console.print(f"{query.name:20} {query.answers}", markup=False, highlight=False)
    else:
        console.print(HELP if word == ".help" else f"{word} is not known; {HELP}", markup=False, highlight=False)


def _answer(root: Path, statement: str, console: Console) -> None:
    try:
        answer = run_sql(root, statement)
    except QueryError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return
    except KeyboardInterrupt:
        console.print("stopped", style="red")
        return
    for fault in answer.faults:
        console.print(str(fault), style="yellow", markup=False, highlight=False)
    console.print(show_answer(answer.table))


def _keep_history(path: Path) -> None:
    if not sys.stdin.isatty():
        return
    import atexit
    import readline

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        readline.read_history_file(path)
    readline.set_history_length(1_000)
    atexit.register(readline.write_history_file, path)
