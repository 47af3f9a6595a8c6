"""The commands that answers offer, typed as a reader types them: those that no other test types."""

import re

import pytest

from exercises import drill
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(3600)]
SAYS = {
    "features": r"Stage 'features' didn't change",
    "evaluate": r"^evaluate +\d+\.\d s  passed \d+ checks on 2\d,\d{3} flights",
    "monitor": r"^monitor +\d+\.\d s  2013-02 at .* flights; predictions PSI",
    "diagnose": r"^diagnose +\d+\.\d s  2013-02: ",
    "shadow": r"shadow passed",
    "explain": r"^explain +\d+\.\d s  ",
    "canary": r"promoted",
    "rollback": r"^rollback +\d+\.\d s  version 1 .* serves all",
    "retrain": r"^retrain +\d+\.\d s  2013-02 -> 2013-03",
}
"""In the order in which they are typed, and what each says."""
MEASURES = [
    *("ab-test", "backfill", "cost", "erasure", "explanations", "fairness", "inference"),
    *("leak", "skews", "serving", "tuning"),
]


@pytest.fixture(scope="module")
def walked(small, shelf):
    """The small project, in which one command is typed after the other."""
    return life.twin(small.folder, shelf / "walked")


@pytest.mark.parametrize("command", SAYS)
def test_a_command_does_what_its_answer_says(walked, command):
    done = life.run(walked, "make", command).well()
    assert re.search(SAYS[command], done.words, re.MULTILINE), done.words


def test_a_search_says_what_it_found_and_proposes(small, shelf):
    """In a window of January alone, whose days make fewer and shorter folds."""
    folder = life.twin(small.folder, shelf / "tuned")
    drill.configure(folder, "tune", folds=2, fold_days=4, holdout_days=7)
    done = life.run(folder, "make", "tune", "TRIALS=2").well()
    assert re.search(r"^tune +\d+\.\d s  2 trials on 2 folds in time: ", done.words, re.MULTILINE)
    assert (folder / "data/tune/search.html").is_file()


@pytest.mark.parametrize("name", MEASURES)
def test_a_measurement_says_its_figures(full, shelf, name):
    folder = life.twin(full.folder, shelf / name)
    done = life.run(folder, "make", "measure", f"M={name}").well()
    assert re.search(r"\d\.\d{2,}", done.words), done.words


def test_the_rules_hold_in_a_checkout_in_which_nothing_ran(shelf):
    done = life.run(life.checkout(shelf / "rules"), "make", "rules").well()
    assert re.search(r"^=+ [\d,]+ passed in ", done.words, re.MULTILINE), done.words
