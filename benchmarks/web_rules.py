"""The published rules for web pages beside datatrove's: the same decisions? at what speed?

Natural texts of this machine (`natural_texts.py`), the same words and sentences on both sides, datatrove 0.10.1 in an
environment of its own (`peers/datatrove_rules.py`). Decisions are compared over all texts, for each preset as published
and for each rule alone. Then both judge some of the natural pieces by all four presets, in turn, each in a process of
its own on one core, in processor seconds; reading the texts and starting up is not in the time.

    python benchmarks/web_rules.py
    python benchmarks/web_rules.py --texts 2000 --long 2 --rounds 1
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contestants import ENVIRONMENTS, environment
from dedup import TOOLS
from natural_texts import FOLDERS, natural_texts, rare_texts

from corpus.hardware import machine_name
from filters.base import Row, Score
from filters.form.measures import MEASURES, measure
from filters.form.presets import WEB, measure_of
from filters.form.rules import Rules, RulesSettings
from filters.rows import READ_ROWS, in_blocks

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benchmarks" / "peers" / "datatrove_rules.py"
LINE_RULES = ("max_long_word_lines", "max_unpunctuated_lines", "max_few_word_lines", "max_javascript_lines",
              "max_policy_lines")  # fmt: skip
SYMBOLS = ("max_hashes_per_word", "max_ellipses_per_word")
"""datatrove has one limit for the two."""


def decide(texts: Sequence[str]) -> dict[str, list[bool]]:
    """Which texts each preset, and each rule alone, drops."""
    limits = {name: limit for preset in WEB.values() for name, limit in preset.items()} | dict.fromkeys(LINE_RULES, 0)
    presets = {name: Rules(RulesSettings(preset=[name])) for name in WEB}
    made: dict[str, list[bool]] = {name: [] for name in [*presets, *limits]}
    for block in in_blocks(texts):
        for scores in measure(block, MEASURES):
            by_name = {score.name: score for score in scores}
            for name, rules in presets.items():
                made[name].append(rules.judge(by_name).outcome == "drop")
            for name, limit in limits.items():
                made[name].append(_breaks(name, limit, by_name))
    symbols = zip(*(made.pop(name) for name in SYMBOLS), strict=True)
    del made["min_c4_kept_line_fraction"]
    return made | {" and ".join(SYMBOLS): [any(both) for both in symbols]}


def _breaks(name: str, limit: float, scores: Mapping[str, Score]) -> bool:
    value = scores[measure_of(name)].value
    assert value is not None
    return value < limit if name.startswith("min_") else value > limit


def time_ours(texts: Path, result: Path) -> None:
    """Score and judge as curation does, without the store (processor seconds)."""
    rows = [Row(str(i), "documents", json.loads(line)) for i, line in enumerate(texts.open(encoding="utf-8"))]
    rules = Rules(RulesSettings(preset=list(WEB)))
    rules.score(rows[:1])
    start = time.process_time()
    dropped = 0
    for block in in_blocks(rows, READ_ROWS):
        for scores in rules.score(block):
            dropped += rules.judge({score.name: score for score in scores}).outcome == "drop"
    result.write_text(json.dumps({"seconds": time.process_time() - start, "dropped": dropped}))


def run(command: Sequence[str | Path], result: Path, *, cores: str) -> dict[str, Any]:
    """Run one side."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    environment = os.environ | one_thread | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"}
    subprocess.run(["taskset", "-c", cores, *map(str, command)], check=True, env=environment, stdout=sys.stderr)
    return dict(json.loads(result.read_text()))


def write(texts: Sequence[str], path: Path) -> Path:
    """One JSON string a line."""
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    return path


def table(ours: Mapping[str, Sequence[bool]], theirs: Mapping[str, Sequence[bool]], texts: Sequence[str]) -> None:
    """A row for each preset and rule, and the first disagreements below."""
    print("| preset or rule | Specmill drops | datatrove drops | both decide alike |")
    print("| --- | ---: | ---: | ---: |")
    shown: list[str] = []
    for name, dropped in ours.items():
        differ = [i for i, (a, b) in enumerate(zip(dropped, theirs[name], strict=True)) if a != b]
        print(f"| {name} | {sum(dropped):,} | {sum(theirs[name]):,} | {1 - len(differ) / len(texts):.4%} |")
        shown += [f"{name}: ours {dropped[i]}, theirs {theirs[name][i]}: {texts[i][:200]!r}" for i in differ[:2]]
    print("\n".join(["", *shown]), file=sys.stderr)


def main() -> None:
    """Compare decisions, then speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=50_000, help="natural pieces (count)")
    parser.add_argument("--long", type=int, default=100, help="texts of 100,000 words (count)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each side is timed (count; 0: not)")
    parser.add_argument("--timed", type=int, default=10_000, help="pieces that both sides are timed over (count)")
    parser.add_argument("--folders", nargs="+", default=list(FOLDERS), help="where the pieces come from")
    parser.add_argument("--spacy", action="store_true", help="time datatrove with its default tokenizer too")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS / "dedup", help="where that of datatrove is made"
    )
    given = parser.parse_args()
    [datatrove] = (tool for tool in TOOLS if tool.name == "datatrove")
    natural = natural_texts(given.texts, given.folders)
    texts = [*natural, *rare_texts(natural, given.long)]
    num_words = sum(len(text.split()) for text in natural)
    print(
        f"{machine_name()}: {len(natural):,} natural pieces ({num_words:,} words), {len(texts) - len(natural)} others"
    )
    with tempfile.TemporaryDirectory() as folder:
        result, mine = Path(folder) / "result.json", [sys.executable, Path(__file__).resolve(), "--time-ours"]
        peer = [environment(datatrove, given.environments)[0], PEER]
        every = sorted(map(str, os.sched_getaffinity(0)))
        theirs = run([*peer, write(texts, Path(folder) / "all.jsonl"), result], result, cores=",".join(every))
        table(decide(texts), theirs, texts)
        pieces = natural[: given.timed]
        timed, seconds = write(pieces, Path(folder) / "natural.jsonl"), [(0.0, 0.0)] * 0
        sides = {"Specmill": mine, "datatrove": peer}
        for _ in range(given.rounds):
            one, other = (
                run([*side, timed, result, "--time-only"], result, cores=every[0])["seconds"] for side in sides.values()
            )
            seconds.append((float(str(one)), float(str(other))))
        if seconds:
            print("\n| one core, all four presets | median processor seconds | pieces/s |\n| --- | ---: | ---: |")
            for name, times in zip(sides, zip(*seconds, strict=True), strict=True):
                print(f"| {name} | {statistics.median(times):.1f} | {len(pieces) / statistics.median(times):,.0f} |")
            ratios = [other / one for one, other in seconds]
            print(f"\nmedian ratio {statistics.median(ratios):.1f} (from {min(ratios):.1f} to {max(ratios):.1f})")
        if given.spacy:
            other = run([*peer, timed, result, "--time-only", "--spacy"], result, cores=every[0])["seconds"]
            print(f"datatrove with its default tokenizer: {float(str(other)):.1f} s, once")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--time-ours"]:
        time_ours(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
