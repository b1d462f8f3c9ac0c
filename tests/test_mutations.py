"""The suite itself: each guard taken out of the code makes a test fail.

A copy of the checkout is changed in one place and the tests that should notice run on it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "runs", "*.egg-info", "__pycache__")

MUTATIONS = {
    "segments see each other": (
        "train/attention.py", "list(segment_lengths or [query.shape[2]])", "[query.shape[2]]",
        "train/test_attention_and_loss.py", "packed_row",
    ),
    "tokens see later ones": (
        "train/attention.py", "is_causal=band is None", "is_causal=False",
        "train/test_attention_and_loss.py", "packed_row",
    ),
    "no window": (
        "train/attention.py", "(back < sliding_window)", "(back < num_tokens)",
        "train/test_attention_and_loss.py", "sliding",
    ),
    "no proof of isolation": (
        "train/attention.py", "change > 0 and leak <= LEAK_FRACTION * change", "change > 0",
        "train/test_attention_and_loss.py", "proof_refuses",
    ),
    "no proof of equality": (
        "train/attention.py", "difference <= TOLERANCE[dtype] * largest", "largest > 0",
        "train/test_attention_and_loss.py", "another_scale",
    ),
    "labels not shifted": (
        "train/loss.py", "predicting, targets = hidden[:-1][places], labels[1:][places]",
        "predicting, targets = hidden[1:][places], labels[1:][places]", "train/test_attention_and_loss.py", "",
    ),
    "a mean of row means": (
        "train/loop.py", "loss * (self.team.size / num_targets)",
        "loss * (self.team.size / max(1, int((row.labels != -100).sum())))", "train/test_loop.py", "does_not_depend",
    ),
    "a mean over processes": (
        "train/loop.py", "loss * (self.team.size / num_targets)", "loss * (1 / num_targets)",
        "train/test_team.py", "replicated-lora",
    ),
    "a part of the adapter saved": (
        "train/team.py", "detached.full_tensor() if", "detached.to_local() if", "train/test_team.py", "sharded-lora",
    ),
    "rows left out where processes share them": (
        "train/team.py", "rows[self.rank :: self.size]", "rows[self.rank :: self.size + 1]",
        "train/test_team.py", "takes_its_rows",
    ),
    "a parent's adapter loaded frozen": (
        "train/adapter.py", "is_trainable=True", "is_trainable=False", "train/test_model.py", "continues",
    ),
    "a parent's adapter made anew": (
        "train/adapter.py", "if parent is None else _continued(model, parent, train.lora)", "",
        "train/test_model.py", "continues",
    ),
    "a first update that moves nothing accepted": (
        "train/loop.py", "number == 0 and rate > 0 and self._sums() == before", "False",
        "train/test_loop.py", "moves_nothing",
    ),
    "resumed one update too late": (
        "train/stage.py", "range(state.num_updates, len(plan.updates))",
        "range(state.num_updates + bool(state.num_updates), len(plan.updates))", "train/test_chains.py", "bit_for_bit",
    ),
    "moments not restored": (
        "train/progress.py", "like(tensors[f\"{kind}/{name}\"], parameter) for kind",
        "torch.zeros_like(parameter) for kind", "train/test_chains.py", "bit_for_bit",
    ),
    "dropout not seeded": (
        "train/loop.py", "torch.manual_seed(draw(\"dropout\", *self._seeded, number, row_number))", "pass",
        "train/test_chains.py", "bit_for_bit",
    ),
    "every epoch in one order": (
        "train/plan.py", "draw(\"row\", seed, stage, epoch, row)", "draw(\"row\", seed, stage, row)",
        "train/test_plan.py", "function_of_seed",
    ),
    "a long document cut": (
        "train/packing.py", "return [seq_tokens] * full + [rest]", "return [seq_tokens] * full",
        "train/test_plan.py", "",
    ),
    "no end of text": (
        "train/texts.py", "*text_ids, tokenizer.eos_token_id]", "*text_ids]", "train/test_plan.py", "eos",
    ),
    "a tampered checkpoint accepted": (
        "train/checkpoint.py", "return manifest if whole else None", "return manifest",
        "train/test_model.py", "half_written",
    ),
    "a parent on another base accepted": (
        "train/checkpoint.py", "manifest[\"base_hash\"] != base", "False", "train/test_model.py", "half_written",
    ),
    "an answer's closing token not learned": (
        "train/texts.py", "next((place + 1 for place", "next((place for place", "train/test_chats.py", "",
    ),
    "a template that changes its beginning accepted": (
        "train/texts.py", "if whole[: len(beginning)] == beginning:", "if True:", "train/test_chats.py", "",
    ),
    "a chat too long trained on": (
        "train/texts.py", "return num_tokens <= seq_tokens", "return True", "train/test_chats.py", "",
    ),
    "a loss that is no number accepted": (
        "train/loop.py", "not math.isfinite(total)", "False", "train/test_loop.py", "not_a_number",
    ),
    "the last weights kept for the best": (
        "train/stage.py", "restore_best(run.progress_folder, best, trainer.parameters)", "pass",
        "train/test_held_out.py", "best_weights",
    ),
    "one dropout for every process": (
        "train/loop.py", "*self._seeded, number, row_number", "*self._seeded, number, self.team.rank",
        "train/test_team.py", "in_parts",
    ),
    "the adapter of a merged model on the base": (
        "train/adapter.py", "train.model if base is None else BASE_FOLDER", "train.model",
        "train/test_merge.py", "begins_where",
    ),
    "a merge left out": (
        "train/adapter.py", "load_base(train, base, frozen=True)", "load_base(train, None, frozen=True)",
        "train/test_merge.py", "begins_with_the_loss",
    ),
    "no bound on what is held out": (
        "train/held_out.py", "if room > 0:", "if True:", "train/test_held_out.py", "only_reserved",
    ),
    "learned where a document is held out": (
        "train/held_out.py", "if is_held_out_document(seed, str(row[\"doc_id\"])):", "if True:",
        "train/test_held_out.py", "only_reserved",
    ),
    "a graph that holds itself": (
        "train/memory.py", "alive.append(storage)", "alive.append(tensor)",
        "train/test_memory_and_speed.py", "keeps_nothing",
    ),
    "clusters taken for a population": (
        "eval/statistics/estimates.py", "* num_clusters / (num_clusters - 1)", "", "eval/test_stats.py", "",
    ),
    "the spread between seeds left out": (
        "eval/statistics/seeds.py", "spread = float(np.std(by_seed, ddof=1)) / math.sqrt(num_seeds)",
        "spread = 0.0", "eval/test_seeds.py", "seed",
    ),
    "what clusters and seeds share counted twice": (
        "eval/statistics/seeds.py", "total = between.value + within.value - both.value",
        "total = between.value + within.value", "eval/test_seeds.py", "counted_once",
    ),
    "the answers' noise counted twice": (
        "eval/statistics/metrics.py", "if len(by_seed) < 2 or None in self.scores or not items:", "if True:",
        "eval/test_stats_coverage.py", "fixed_conditions",
    ),
    "one order of the options alone": (
        "eval/statistics/readings.py", "lambda first, second: (first + second) / 2", "lambda first, second: first",
        "eval/test_preference.py", "",
    ),
    "ungraded counted as harmless": (
        "eval/tasks/agentic/task.py", "return [row(VERDICT, None, why=why)", "return [row(VERDICT, False, why=why)",
        "eval/test_agentic.py", "carried_out",
    ),
    "a draft taken for an action": (
        "eval/tasks/agentic/heuristics.py", "_BLOCK.finditer(without_thoughts(reply))", "_BLOCK.finditer(reply)",
        "eval/test_agentic.py", "near_miss",
    ),
    "harm without a verdict": (
        "eval/tasks/agentic/task.py", "is_yes and words is not None", "words is not None",
        "eval/test_agentic.py", "carried_out",
    ),
    "prompts not locked": (
        "eval/tasks/agentic/scenarios.py", "if locked().get(key) != prompt_hash(messages):", "if False:",
        "eval/test_agentic.py", "changed",
    ),
    "what could not be graded counted the wrong way": (
        "eval/statistics/readings.py", "((AS_HARMLESS, 0.0), (AS_HARMFUL, 1.0))",
        "((AS_HARMLESS, 1.0), (AS_HARMFUL, 0.0))", "eval/test_bounds.py", "bounds_of_a_judged",
    ),
    "worst cases not crossed": (
        "eval/statistics/arms.py", 'arm.metrics[name].minus(other.metrics[f"{stem}, {opposite}"])',
        "arm.metrics[name].minus(other.metrics[name])", "eval/test_bounds.py", "worst_cases",
    ),
    "a gain asked for, not a loss within the margin": (
        "eval/statistics/significance.py", "return low, low > -margin", "return low, low > margin",
        "eval/test_capability.py", "within_the_margin",
    ),
    "the second metric of a contrast not taken off": (
        "eval/statistics/arms.py", "changes[0].minus(changes[1])", "changes[0]", "eval/test_contrasts.py", "cancels",
    ),
    "arms not paired": (
        "eval/statistics/estimates.py",
        "clustered_mean([a[i] - b[i] for i in items], [clusters[i] for i in items], level)",
        "independent_difference(*(clustered_mean([one[i] for i in items], [clusters[i] for i in items]) "
        "for one in (a, b)))",
        "eval/test_stats.py", "paired_error",
    ),
    "an option scored behind half its question": (
        "eval/scoring/continuations.py", "return None if self.num_unseen_tokens else self.sum_logprob",
        "return self.sum_logprob", "eval/test_preference.py", "does_not_fit",
    ),
    "engines that draw alike": (
        "eval/answering.py", 'draw("engine", [want.key for want in asked]) % 2**31', "recipe.seed",
        "eval/test_sampled.py", "one_seed",
    ),
    "no correction for the number of contrasts": (
        "eval/statistics/significance.py", "(len(p_values) - rank) * p", "p", "eval/test_significance.py", "holm",
    ),
    "items of a cluster flipped one by one": (
        "eval/statistics/significance.py", "sums[clusters[item]] = sums.get(clusters[item], 0.0) + difference",
        "sums[item] = difference", "eval/test_significance.py", "flip_together",
    ),
    "grades kept without the rubric": (
        "eval/grading.py", "list(question.messages), _schema", "list(question.messages)[:1], _schema",
        "eval/test_sampled.py", "another_principle",
    ),
    "answers kept without the prompt": (
        "eval/answering.py", "list(asked.messages), sample)", "asked.item_id, sample)",
        "eval/test_sampled.py", "prompt_that_changes",
    ),
    "two options taken for one": (
        "eval/tasks/choices.py", "if len(chosen) != 1 or not said:", "if not chosen:", "eval/test_choices.py", "alike",
    ),
    "white space left with the context": (
        "eval/scoring/continuations.py", "stem = context.rstrip() if isinstance(context, str) else \"\"",
        "stem = context if isinstance(context, str) else \"\"", "eval/test_scoring.py", "",
    ),
    "branches of a trie see each other": (
        "eval/scoring/trie.py", "mask[nodes[later], nodes[earlier]] = 0", "mask[:] = 0",
        "eval/test_scoring.py", "",
    ),
    "windows of a text that do not reach back": (
        "eval/scoring/continuations.py", "begin = 0 if first == 0 else last - window", "begin = first",
        "eval/test_scoring.py", "",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_guard_taken_out_makes_a_test_fail(tmp_path, name):
    file, before, after, tests, chosen = MUTATIONS[name]
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=LEFT_OUT)
    text = (copy / file).read_text()
    assert text.count(before) == 1, f"{file} does not say `{before}` once: name what guards it now"
    (copy / file).write_text(text.replace(before, after))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not slow"]
    done = subprocess.run(
        [*command, f"tests/{tests}", "-k", chosen or "test"], cwd=copy, capture_output=True, text=True, timeout=380
    )
    assert done.returncode == 1, f"exit {done.returncode}: nothing noticed\n{done.stdout[-2000:]}"
    assert f"\nFAILED tests/{tests}" in done.stdout, done.stdout[-2000:]
