"""A small shell for SQL over a run: history, completion, pages, and Ctrl+C that stops a statement, not the shell."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import QueryError, StoreError, nearest
from corpus.inspect.answers import show_answer
from corpus.inspect.named import named_queries
from corpus.inspect.sql import run_sql
from corpus.store.schema import TABLES

if TYPE_CHECKING:
    from rich.console import Console

HELP = """\
SELECT ... ;            a statement; it may take several lines and ends with ;
NAME [-p KEY=VALUE ...] a named query
.queries                the named queries and what they answer
.tables                 the tables; each has an all_TABLE with its stale rows besides
.schema TABLE           the columns of one
.help                   this
.quit                   leave; so does Ctrl+D. Ctrl+C stops a statement"""
VIEWS = ("curated", "curated_chats", "current_values")
_WORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP", "BY", "ALL", "ORDER", "HAVING", "LIMIT", "JOIN", "USING", "LEFT", "WITH"),
    *("AS", "AND", "OR", "NOT", "NULL", "IN", "DISTINCT", "DESC", "DESCRIBE", "SUMMARIZE", "count", "sum", "unnest"),
)


def history_path() -> Path:
    """Where statements are kept: the user's state folder, as the XDG specification has it; never in a run."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "specmill" / "sql_history"


def shell(
    root: Path,
    console: Console | None = None,
    read_line: Callable[[str], str] = input,
    history: Path | None = None,
) -> None:
    """Ask for statements and answer them until `.quit` or the end of the input. Each sees the run as it then is.

    Args:
        root: the run's folder.
        console: where answers go; stdout if left out.
        read_line: asks with a prompt and gives a line; raises EOFError at the end.
        history: keeps the statements of a person at a terminal; the user's own if left out.

    Raises:
        StoreError: there is no run in that folder.
    """
    from rich.console import Console

    console = console or Console()
    with _line_editing(history or history_path()):
        _say(console, f"{root.name}: end a statement with ;  .help says more, .quit leaves")
        waiting: list[str] = []
        while True:
            try:
                line = read_line("   ...> " if waiting else "specmill> ")
            except EOFError:
                return
            except KeyboardInterrupt:
                _say(console, "")
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
            if word.endswith(";") or (len(waiting) == 1 and word.split(" ")[0] in named_queries()):
                _answer(root, "\n".join(waiting), console)
                waiting.clear()
            elif not any(part.strip() for part in waiting):
                waiting.clear()


def _answer_command(root: Path, line: str, console: Console) -> None:
    command, _, argument = line.partition(" ")
    known = {**dict.fromkeys(TABLES), **dict.fromkeys(f"all_{name}" for name in TABLES), **dict.fromkeys(VIEWS)}
    if command == ".tables":
        _say(console, *(f"{name:15} all_{name}" for name in TABLES), *VIEWS)
    elif command == ".queries":
        for query in named_queries().values():
            needs = "".join(f" -p {one.name}=..." for one in query.parameters if not one.is_optional)
            _say(console, f"{query.name + needs:20} {query.answers}")
    elif command == ".schema":
        name = argument.strip().removesuffix(";")
        if name in known:
            _answer(root, f"SELECT column_name, column_type FROM (DESCRIBE {name})", console)
        else:
            _say(console, f".schema needs a table; {nearest(name, known)}")
    else:
        _say(console, HELP if command == ".help" else f"{command} is not known\n{HELP}")


def _answer(root: Path, text: str, console: Console) -> None:
    try:
        statement, given = _read_parameters(text)
        answer = run_sql(root, statement, given)
        for fault in answer.faults:
            console.print(str(fault), style="yellow", markup=False, highlight=False)
        shown = show_answer(answer.table)
        if console.is_terminal and answer.table.num_rows + 5 > console.height:
            with console.pager(styles=True):
                console.print(shown)
        else:
            console.print(shown)
    except (QueryError, StoreError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
    except KeyboardInterrupt:
        console.print("stopped", style="red")


def _read_parameters(text: str) -> tuple[str, dict[str, str]]:
    """`NAME -p KEY=VALUE ...` as the name and its values; SQL as it is."""
    name, _, rest = text.strip().removesuffix(";").strip().partition(" ")
    if name not in named_queries() or not rest.strip():
        return text, {}
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise QueryError(f"{rest}: {error}; quote a value as in -p filter='a name'") from None
    if len(words) % 2 or any(word != "-p" for word in words[::2]):
        raise QueryError(f"after {name} there can be -p KEY=VALUE, several times; seen: {rest.strip()}")
    return name, read_values(words[1::2])


def read_values(pairs: list[str]) -> dict[str, str]:
    """KEY=VALUE as a mapping.

    Raises:
        QueryError: one has no `=`, or a key comes twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, is_pair, value = pair.partition("=")
        if not is_pair:
            raise QueryError(f"-p {pair}: give a value, as in -p {pair or 'key'}=1")
        if key in values:
            raise QueryError(f"-p {key} is given twice: {values[key]} and {value}")
        values[key] = value
    return values


@contextmanager
def _line_editing(path: Path) -> Iterator[None]:
    """History and completion for a person at a terminal; nothing elsewhere. A history that cannot be kept is none."""
    if not sys.stdin.isatty():
        yield
        return
    import readline

    # `less` then shows colours and leaves what it showed on the screen; one screen needs no key.
    os.environ.setdefault("LESS", "-FRX")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            readline.read_history_file(path)
    except OSError:
        pass
    readline.set_history_length(1_000)
    readline.set_completer_delims(" \t\n,()=<>;.")
    readline.set_completer(lambda beginning, nth: ([*_completions(beginning, readline.get_line_buffer()), None])[nth])
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(path)


def _completions(beginning: str, line: str) -> list[str | None]:
    """Tables, columns, named queries and a few words of SQL that begin so; after a dot, commands or columns."""
    columns = {name for table in TABLES.values() for name, _ in table.columns}
    if re.fullmatch(r"\s*\.\w*", line):
        known = {"help", "queries", "quit", "schema", "tables"}
    elif line[: len(line) - len(beginning)].endswith("."):
        known = columns
    else:
        known = {*TABLES, *(f"all_{name}" for name in TABLES), *VIEWS, *columns, *named_queries(), *_WORDS}
    return [word for word in sorted(known) if word.lower().startswith(beginning.lower())]


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
