"""Forced choices scored by log-probability: ours beside lm-evaluation-harness's HF backend, on the CPU.

    python benchmarks/eval_speed.py [--items 200] [--rounds 3] [--batch-sizes 1 4 16]

Both score both options in both orders, of the same prompts, with the same model in fp32 on two threads, in one process
each, ABAB. Ours computes what two options share once; the harness is taken with the batch size that is best for it
here, by a trial of a few items. Loading is not counted. The ratio is of medians, and each round's own stands beside it.

The first items are scored by the harness in float64 too, which both are held against: sums of ours that are farther
from it than 1e-5 a token are refused.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from contestants import markdown

from corpus.hardware import machine_name
from corpus.models import model_folder

Pair = tuple[str, str]
TOLERANCE = 1e-5
"""A token (nats)."""
TRIED_ITEMS, CHECKED_ITEMS = 16, 20


def choices(model: str, num_items: int) -> list[Pair]:
    """Prompt and option: our own items in both orders, as the task `preference` asks them, over again if need be."""
    from transformers import AutoTokenizer

    from eval.scoring.chat import render_prompt
    from eval.tasks.items import load_preference
    from eval.tasks.preference import ORDERS
    from prompts import load

    tokenizer = AutoTokenizer.from_pretrained(model)
    items, prompt = load_preference(), load("preference")
    pairs: list[Pair] = []
    for place in range(num_items):
        item = items[place % len(items)]
        # Beyond our own items each is asked with another lead, so that no prompt is the same.
        question = item.question if place < len(items) else f"Case {place}. {item.question}"
        for order in ORDERS:
            first, second = (item.aligned, item.other)[:: 1 if order == ORDERS[0] else -1]
            asked = render_prompt(tokenizer, prompt.render(question=question, first=first, second=second))
            pairs += [(asked, item.aligned), (asked, item.other)]
    return pairs


def score(given: argparse.Namespace) -> dict[str, object]:
    """Score the pairs once, in this process."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(given.threads)
    pairs = choices(given.model, given.items)
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    dtype = torch.float64 if given.contestant == "float64" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=dtype).eval()
    if given.contestant == "specmill":
        from eval.scoring.continuations import score_continuations

        score_continuations(model, tokenizer, pairs[:4], 512)  # the model is checked once
        began = time.perf_counter()
        scored = score_continuations(model, tokenizer, list(pairs), 512)
        seconds = time.perf_counter() - began
        sums, sizes = [one.sum_logprob for one in scored], [one.num_tokens for one in scored]
        return {"seconds": seconds, "sums": sums, "sizes": sizes}
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=given.batch_size, device="cpu", dtype=dtype)
    requests = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(pairs)]
    harness.loglikelihood(requests[:4], disable_tqdm=True)
    began = time.perf_counter()
    answers = harness.loglikelihood(requests, disable_tqdm=True)
    return {"seconds": time.perf_counter() - began, "sums": [nats for nats, _ in answers]}


def run(given: argparse.Namespace, contestant: str, batch_size: int, num_items: int) -> dict[str, object]:
    """`score` in a process of its own."""
    command = [
        *(sys.executable, str(Path(__file__).resolve()), "--contestant", contestant, "--batch-size", str(batch_size)),
        *("--items", str(num_items), "--threads", str(given.threads), "--model", given.model),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{contestant} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(given: argparse.Namespace) -> None:
    """Both in turn, and the table."""
    tried = {size: run(given, "lm-eval", size, TRIED_ITEMS)["seconds"] for size in given.batch_sizes}
    best = min(tried, key=lambda size: float(str(tried[size])))
    exact = run(given, "float64", best, CHECKED_ITEMS)["sums"]
    names = {"specmill": "specmill", "lm-eval": f"lm-eval, batch {best}"}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    errors = dict.fromkeys(names, 0.0)
    for _ in range(given.rounds):
        found = {name: run(given, name, best, given.items) for name in names}
        for name, one in found.items():
            seconds[name].append(float(str(one["seconds"])))
            # Of the first items alone; how many tokens a sum has, only ours says.
            off = [
                abs(a - b) / size for a, b, size in zip(one["sums"], exact, found["specmill"]["sizes"], strict=False)
            ]
            errors[name] = max(errors[name], *off)
        if errors["specmill"] > TOLERANCE:
            sys.exit(f"a sum of ours is {errors['specmill']:.1e} nats a token from that in float64")
    ratios = [other / one for one, other in zip(seconds["specmill"], seconds["lm-eval"], strict=True)]
    medians = {name: statistics.median(of_name) for name, of_name in seconds.items()}
    print(f"{machine_name()}; {given.items} items, both orders; fp32, {given.threads} threads; {given.rounds} rounds\n")
    print(
        markdown(
            [
                {
                    "scored by": title,
                    "items/s (median)": f"{given.items / medians[name]:.2f}",
                    "seconds": ", ".join(f"{one:.1f}" for one in seconds[name]),
                    "largest error (nats a token)": f"{errors[name]:.1e}",
                    "specmill / it": f"{medians[name] / medians['specmill']:.2f}",
                }
                for name, title in names.items()
            ]
        )
    )
    print(
        "\nspecmill / lm-eval by round: " + ", ".join(f"{ratio:.2f}" for ratio in ratios)
        + f"; tried with {TRIED_ITEMS} items (s): " + ", ".join(f"{size}: {tried[size]:.1f}" for size in tried)
        + f"; errors by {CHECKED_ITEMS} items in float64"
    )  # fmt: skip


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16], metavar="SIZE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default=None, help="a folder; left out: the builtin model")
    parser.add_argument("--contestant", choices=["specmill", "lm-eval", "float64"], help=argparse.SUPPRESS)
    parser.add_argument("--batch-size", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.model = given.model or str(model_folder("builtin:smollm2-135m"))
    if given.contestant:
        print(json.dumps(score(given)))
    else:
        compare(given)


if __name__ == "__main__":
    main()
