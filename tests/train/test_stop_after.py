"""Training that is told to stop in time: what is done stays, and what it comes to in the end is the same."""

import pytest

from corpus.errors import RecipeError
from corpus.store import open_writer
from tests.train.chained import assert_same_run, fill_run
from tests.train.tiny import Notes
from train import train_chains
from train.verbs import read_seconds


def test_stopped_after_every_update_it_comes_to_the_same_adapter(recipe, whole, tmp_path):
    folder, notes, stops = tmp_path / "run", Notes(), []
    fill_run(folder)
    for _ in range(200):
        with open_writer(folder) as store:
            report = train_chains(recipe, store, ["both"], notes, stop_after_seconds=0)
        stops.append(report.stopped_at)
        if report.stopped_at is None:
            break
        assert len(report.stages) <= 1
    assert_same_run(folder, whole)
    assert stops[0].startswith("midtrain/seed-0 after 1 of ")
    assert len(stops) == len(set(stops)) > 4
    assert any("stopped in time: midtrain/seed-0 after 1 of" in note for note in notes.notes)


def test_with_time_enough_it_ends_as_without(recipe, whole, tmp_path):
    fill_run(tmp_path / "run")
    with open_writer(tmp_path / "run") as store:
        report = train_chains(recipe, store, ["both"], Notes(), stop_after_seconds=3600)
    assert report.stopped_at is None
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("9m", 540), ("1.5h", 5400), (" 2m ", 120)])
def test_a_time_is_read(text, seconds):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "9", "m", "9 minutes", "-1m", "nan", "1e3s"])
def test_what_is_no_time_is_refused_with_what_would_be(text):
    with pytest.raises(RecipeError, match=r"give one such as 90s, 9m or 1\.5h"):
        read_seconds(text)
