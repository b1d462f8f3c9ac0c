"""The shell, the verbs' output, and where a run stands."""

from __future__ import annotations

import io
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.rows import row
from rich.console import Console

from corpus.console import show_table
from corpus.errors import QueryError
from corpus.inspect import answer_or_shell, funnel, show_trace, status_tables
from corpus.inspect.look import Look
from corpus.inspect.shell import _completions, history_path, shell
from corpus.store import open_writer


def said(root: Path, lines: list[str]) -> str:
    """What the shell shows for these lines."""
    console = Console(file=io.StringIO(), width=140)
    typed: Iterator[str] = iter(lines)

    def read_line(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    with console.capture() as captured:
        shell(root, console, read_line)
    return captured.get()


def test_a_statement_goes_on_until_its_semicolon(run: Path) -> None:
    assert " 42 " in said(run, ["SELECT 40", "+ 2 AS sum;"])
    assert " 42 " not in said(run, ["SELECT 40", "+ 2 AS sum"])


def test_a_named_query_needs_only_its_name(run: Path) -> None:
    assert "written and imported" in said(run, ["funnel"])


def test_a_wrong_statement_does_not_end_the_shell(run: Path) -> None:
    answers = said(run, ["SELECT [bold]x[/bold];", "SELECT 42 AS n;"])
    assert "Error" in answers
    assert " 42 " in answers


def test_it_stops_when_told_to(run: Path) -> None:
    assert " 42 " not in said(run, [".quit", "SELECT 42 AS n;"])


def test_it_tells_tables_queries_and_what_it_knows(run: Path) -> None:
    tables = [line for line in said(run, [".tables"]).splitlines() if " all_" in line]
    assert "all_documents" in " ".join(tables)
    assert len({line.index(" all_") for line in tables}) == 1, "two columns, however long a name is"
    assert "starved_clauses" in said(run, [".queries"])
    assert ".nonsense is not known" in said(run, [".nonsense"])


def test_an_answer_goes_to_stdout_and_into_a_file(
    run: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    answer_or_shell(run, "SELECT 42 AS n", "csv", None)
    assert capfdbinary.readouterr() == (b"n\n42\n", b"")
    answer_or_shell(run, "SELECT 42 AS n", None, tmp_path / "n.json")
    assert (tmp_path / "n.json").read_text() == '[\n{"n": 42}\n]\n'


def test_a_format_without_a_query_is_refused(run: Path) -> None:
    with pytest.raises(QueryError, match="go with a query"):
        answer_or_shell(run, None, "csv", None)


def test_a_trace_is_shown_on_stdout(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Look(run) as look:
        [document] = look.rows("SELECT doc_id FROM documents ORDER BY doc_id LIMIT 1")
    show_trace(run, str(document["doc_id"]))
    assert str(document["doc_id"]) in capsys.readouterr().out


def test_status_obeys_nothing_that_a_model_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = "\x1b]0;renamed\x07\x1b[2J[bold]gone\u202e"
    call = row("calls", call_id="c", room="corpus", purpose="document", outcome="degenerate", model="m", reply=reply)
    with open_writer(tmp_path / "run") as store:
        store.writer("corpus").append({"calls": [call]})
    for title, rows in status_tables(tmp_path / "run"):
        show_table(title, rows)
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert r"\x1b]0;renamed\x07\x1b[2J[bold]gone\u202e" in "".join(shown.split())


def test_status_has_the_funnel_first_and_names_what_does_not_read_back(run: Path, tmp_path: Path) -> None:
    tables = status_tables(run)
    assert tables[0] == ("funnel", funnel(run))
    assert tables[-1] == ("files that do not read back", [])
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "calls" / "000099.parquet").write_bytes(b"PAR1")
    assert len(status_tables(tmp_path / "run")[-1][1]) == 1


@pytest.mark.parametrize(("num_rows", "is_terminal", "num_pages"), [(200, True, 1), (3, True, 0), (200, False, 0)])
def test_an_answer_longer_than_the_screen_is_paged_at_a_terminal(
    run: Path, monkeypatch: pytest.MonkeyPatch, num_rows: int, is_terminal: bool, num_pages: int
) -> None:
    monkeypatch.setattr("corpus.inspect.shell.show_answer", lambda _: "all of it")
    paged: list[str] = []
    monkeypatch.setattr("rich.pager.SystemPager.show", lambda _, content: paged.append(content))
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=is_terminal)
    lines = iter([f"SELECT * FROM range({num_rows});", ".quit"])
    shell(run, console, lambda _: next(lines))
    assert len(paged) == num_pages
    assert "all of it" in (paged[0] if num_pages else console.file.getvalue())


def test_a_named_query_takes_values_in_the_shell(run: Path) -> None:
    assert "in_range" in said(run, ["threshold_replay -p scorer=length -p name='words' -p at_least=3"])
    assert "needs filter" in said(run, ["dropped"])
    assert "there can be -p KEY=VALUE" in said(run, ["dropped filter=length"])
    assert "give a value" in said(run, ["dropped -p filter"])


def test_it_tells_the_columns_of_a_table_and_the_nearest_of_one_that_is_not_there(run: Path) -> None:
    assert "num_tokens" in said(run, [".schema documents"])
    assert "did you mean 'documents'" in said(run, [".schema documets"])
    assert ".schema TABLE" in said(run, [".help"])


def test_it_completes_tables_columns_queries_and_commands() -> None:
    assert "documents" in _completions("docu", "SELECT * FROM docu")
    assert "survivor_id" in _completions("surv", "SELECT duplicates.surv")
    assert "threshold_replay" in _completions("thres", "thres")
    assert _completions("ta", ".ta") == ["tables"]


class Terminal:
    """The shell in a terminal of its own, as a person has it."""

    def __init__(self, root: Path, state: Path) -> None:
        main, other = pty.openpty()
        variables = os.environ | {
            "XDG_STATE_HOME": str(state),
            "TERM": "xterm",
            "PAGER": "cat",
            "PYTHONPATH": str(Path.cwd()),
        }
        variables |= {"LINES": "24", "COLUMNS": "120"}
        code = "import sys; from pathlib import Path; from corpus.inspect.shell import shell; shell(Path(sys.argv[1]))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(root)], stdin=other, stdout=other, stderr=other, env=variables,
            start_new_session=True,
        )  # fmt: skip
        os.close(other)
        self.main = main
        self.seen = ""

    def wait_for(self, words: str) -> str:
        """What is shown up to and with `words`."""
        until = time.monotonic() + 60
        while words not in self.seen:
            assert time.monotonic() < until, (words, self.seen)
            self.read()
        shown, _, self.seen = self.seen.partition(words)
        return shown

    def read(self) -> str:
        """What is shown and was not waited for."""
        if select.select([self.main], [], [], 0.2)[0]:
            self.seen += os.read(self.main, 1 << 16).decode(errors="replace")
        return self.seen

    def type(self, text: str) -> None:
        os.write(self.main, text.encode())


def test_at_a_terminal_it_keeps_history_for_the_user_and_not_in_the_run(run: Path, tmp_path: Path) -> None:
    terminal = Terminal(run, tmp_path)
    try:
        terminal.wait_for("specmill> ")
        terminal.type("SELECT 40\n")
        terminal.wait_for("...> ")
        terminal.type("+ 2 AS answer;\n")
        terminal.wait_for(" 42 ")
        terminal.wait_for("specmill> ")
        terminal.type("SELECT range AS many FROM range(100);\n")
        terminal.wait_for(" 99 ")
        terminal.wait_for("specmill> ")
        terminal.type(".quit\n")
        assert terminal.process.wait(30) == 0
    finally:
        terminal.process.kill()
        os.close(terminal.main)
    kept = (tmp_path / "specmill" / "sql_history").read_text()
    assert "+ 2 AS answer;" in kept
    assert not list(run.glob("*history*"))


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.7, 1.3])
def test_ctrl_c_stops_a_statement_and_not_the_shell(run: Path, seconds: float) -> None:
    """One real signal while the statement is being prepared or is running; DuckDB's own client misses some."""
    slow = "SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b WHERE (a.range * b.range) % 7 = 3;"
    console = Console(file=io.StringIO(), width=140)
    typed = iter([slow, "SELECT 6 * 7 AS answer;"])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))

    def read_line(_: str) -> str:
        line = next(typed, None)
        if line is None:
            raise EOFError
        if line == slow:
            pressed.start()
        return line

    try:
        with console.capture() as captured:
            shell(run, console, read_line)
    finally:
        pressed.join()
        signal.signal(signal.SIGINT, before)
    shown = captured.get()
    assert shown.index("stopped") < shown.index(" 42 ")


def test_history_is_of_the_user_and_not_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert history_path() == Path("/somewhere/specmill/sql_history")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert history_path() == Path.home() / ".local" / "state" / "specmill" / "sql_history"
