"""Facts of a folder: who serves, since when, why; what is wrong; what was decided."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from cockpit import views
from cockpit.facts import (
    approvals,
    book,
    concerns,
    dates,
    graph,
    prediction,
    project,
    releases,
    rollout_words,
    severity,
)
from cockpit.facts.stages import ago, stage_map, stages
from cockpit.facts.timeline import decisions
from cockpit.reading import Missing
from cockpit.views import View
from pipeline.features.windows import EPOCH
from pipeline.flights import WORDS
from pipeline.records import rollout_ledger
from pipeline.records.command_runs import RUNS
from pipeline.records.request_log_writer import open_log
from pipeline.records.rollout_ledger import LEDGER
from pipeline.shared import clock, dvc
from pipeline.shared.watcher import hold
from tests.rules.tree import ROOT
from tests.shared.moves import NEW, OLD, move


def facts(folder):
    return project.read(folder, "a story")


def headlines(folder):
    return {one.headline: one.severity for one in concerns.concerns(facts(folder))}


@pytest.mark.answer("who-served")
def test_the_champion_is_whom_the_ledger_names_since_its_promotion(story):
    found = releases.read(story)
    assert found.champion.version == "2"
    assert found.reign.move.event == "promoted"
    assert approvals.because(found) == (
        "canary 0003 promoted it: no alarm in any step, and every step had its requests and days"
    )
    assert [share for one in found.services[-1:] for _, share in one.shares] == [10_000]


def test_a_rollback_begins_another_reign(story):
    back = move("rolled back", 100 * 24 * 60, champion=OLD, challenger=NEW, by="hand of somebody")
    rollout_ledger.append(back.model_copy(update={"shares": {"champion": 10_000}}), story / LEDGER)
    found = releases.read(story)
    assert (found.champion.version, found.reign.move.event) == ("1", "rolled back")
    assert approvals.because(found) == "its successor was rolled back by hand of somebody"
    assert approvals.steps(facts(story), found)[-1].words == "hand of somebody"


def test_the_way_into_service_names_what_each_step_saw(story):
    found = {step.name: step for step in approvals.steps(facts(story), releases.read(story))}
    assert found["shadow"].words == "answered 900 of 900 copied requests"
    assert found["canary"].state == "passed"
    assert found["canary"].words.startswith("failed 0 of ")
    assert ", version 1 beside it 0 of " in found["canary"].words
    assert found["gate"].state == "unknown"  # this folder has no registry
    assert found["approval"].words == "by the plan; started by somebody (git)"


@pytest.mark.answer("silent-degradation")
def test_what_is_wrong_is_found_and_the_worst_comes_first(story):
    found = concerns.concerns(facts(story))
    assert {one.headline for one in found} == {
        "The registry cannot be read",
        "The closed loop has stood still since 1 July 2013",
        "New data were refused: flights of June 2013",
        "The last canary was taken back (a drill: slowness injected on purpose)",
    }
    severities = [severity.SEVERITIES.index(one.severity) for one in found]
    assert severities == sorted(severities)
    assert severity.summary(found) == ("ticket", "Nothing urgent: 3 to look at, 1 to know.")
    assert [(name, len(of)) for name, _, of in severity.grouped(found)] == [
        ("ticket", 3),
        ("note", 1),
    ]


def test_a_loop_that_stands_still_is_one_cause_of_missing_labels_and_of_a_late_check(story):
    (still,) = (one for one in concerns.concerns(facts(story)) if "loop" in one.headline)
    assert "No label has come since, and the weekly check of 8 July 2013 is overdue" in still.detail
    assert "how well version 2 does is not known" in still.detail
    assert still.command == "make loop UNTIL=2013-07-08"


def test_a_loop_that_is_on_time_says_when_the_first_labels_come(story):
    seen = facts(story)
    on_time = replace(seen, now=seen.loop.at)
    found = {one.headline: one for one in concerns.concerns(on_time)}
    assert found["How well version 2 does is not known yet"].severity == "note"
    assert not any("stood still" in headline for headline in found)


def test_refused_data_are_said_with_unit_and_limit(story):
    refused = next(one for one in concerns.concerns(facts(story)) if "refused" in one.headline)
    assert refused.detail.startswith(
        "The mean of distance is 1,704 miles, allowed at most 1,100. Refused by the rule mean-shift"
    )


@pytest.mark.parametrize(
    ("excess", "gap", "headline"),
    [
        (0.03, 0.015, "Version 1 does worse than it expects of itself"),
        (-0.02, -0.05, "Version 1 predicts too high on the whole"),
        (0.01, 0.05, "Version 1 predicts too low on the whole"),
    ],
)
def test_an_alert_of_the_champion_itself_is_a_ticket(story, excess, gap, headline):
    (story / LEDGER).unlink()
    (story / LEDGER).with_suffix(".jsonl").unlink()
    rollout_ledger.append(move("registered", 0, challenger=None), story / LEDGER)
    seen = facts(story)
    last = seen.loop.days[-1].model_copy(update={"excess": excess, "gap": gap})
    alerted = replace(seen, loop=replace(seen.loop, days=[*seen.loop.days[:-1], last]))
    assert {one.headline: one.severity for one in concerns.concerns(alerted)}[headline] == "ticket"


def test_a_canary_that_goes_badly_while_it_runs_is_a_page(story):
    seen = facts(story)
    last = seen.rollouts[0]
    running = replace(last, entries=last.entries[:1])
    assert (last.open, running.open) == (False, True)
    assert " slow responses in a row, allowed 8." in rollout_words.sentence(running)
    assert rollout_words.sentence(running).startswith("It goes badly. ")
    alarmed = replace(seen, rollouts=[running, *seen.rollouts[1:]])
    found = concerns.concerns(alarmed)
    assert (found[0].severity, found[0].headline) == (
        "page",
        "0004-canary has an alarm and no controller",
    )
    assert " slow responses in a row, allowed 8" in found[0].detail
    shown = views.values(alarmed, View(ROOT))["rollouts"][0]
    assert (shown["state"], shown["badge"]) == ("bad", "interrupted, ALARM")
    assert "Its controller does not run now" in shown["next_act"]


def test_an_alarm_that_the_controller_acts_on_asks_nobody_to_act(story):
    seen = facts(story)
    running = replace(seen.rollouts[0], entries=seen.rollouts[0].entries[:1])
    alarmed = replace(seen, live=["a rollout"], rollouts=[running, *seen.rollouts[1:]])
    found = concerns.concerns(alarmed)
    assert (found[0].severity, found[0].headline) == (
        "ticket",
        "0004-canary has an alarm, and its controller acts",
    )
    assert found[0].detail.endswith("all requests return to version 2. Nobody has to act")
    assert views.values(alarmed, View(ROOT))["rollouts"][0]["badge"] == "running, ALARM"


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (
            "errors: challenger 18 of 902, control 0 of 998 (18 and 0 events); p 3.6e-05, "
            "alpha 0.015",
            "requests without a prediction: challenger 18 of 902, baseline 0 of 998",
        ),
        ("slow in a row: 10, allowed 8", "10 slow responses in a row, allowed 8"),
        ("failed of 20 in a row: 15, allowed 14", "15 of 20 requests in a row failed, allowed 14"),
        ("challenger process gone: 1, allowed 0", "challenger process gone: 1, allowed 0"),
        (
            "MB of memory beyond the control's: 70, allowed 64",
            "70 MB of memory beyond the baseline's, allowed 64",
        ),
        (
            "slow seen 3 times in the arm that shows less, needed 30",
            "slow responses seen 3 times in the arm that shows less, needed 30",
        ),
    ],
)
def test_a_recorded_reason_is_said_in_the_words_of_the_page(recorded, words):
    assert rollout_words.reason(recorded) == words


def test_the_days_of_a_rollout_are_said_once():
    first, last = datetime(2013, 6, 26, 13, tzinfo=UTC), datetime(2013, 7, 4, 8, tzinfo=UTC)
    assert dates.span(first, last) == "26 June to 4 July 2013"
    assert dates.span(first, None) == "since 26 June 2013"
    assert dates.span(last, last) == "4 July 2013"
    assert dates.span(first.replace(day=3), first) == "3 to 26 June 2013"
    assert (dates.month("2013-07"), dates.month("2013-06-23")) == (
        "July 2013",
        "June 2013 to the 23",
    )


def test_a_damaged_ledger_is_a_page_and_what_stands_is_shown(story):
    path = (story / LEDGER).with_suffix(".jsonl")
    (story / LEDGER).unlink()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[4].replace("500", "501"), *lines[5:]]) + "\n")
    found = facts(story)
    assert len(found.releases.entries) == 4
    assert severity.summary(concerns.concerns(found))[0] == "page"


def test_nothing_wrong_is_said_so():
    assert severity.summary([]) == ("fine", "No, nothing.")


def test_where_nothing_was_released_everything_says_what_makes_it(empty):
    found = facts(empty)
    assert found.releases == Missing("the rollout ledger", "ledger.db is not there yet", "make run")
    assert isinstance(found.loop, Missing)
    assert isinstance(found.month, Missing)
    assert (found.now, found.rollouts, found.live) == (None, [], [])
    assert concerns.concerns(found) == []


@pytest.mark.parametrize("day", ["2013-04", "2013-12", "2013-06-23"])
def test_data_arrive_when_the_clock_says(day):
    assert project.arrival(day) == clock.arrived_at(day).to_pydatetime()


def test_the_next_check_is_the_first_monday_after_the_loop(story):
    found = facts(story)
    assert found.loop.at == datetime(2013, 7, 1, 10, tzinfo=UTC)
    assert found.next_check == datetime(2013, 7, 8, 10, tzinfo=UTC)
    assert (len(found.loop.days), len(found.loop.checks)) == (61, 9)


def test_a_lock_that_is_held_is_live_and_changes_the_signature(story):
    before = project.signature(story)
    with hold(story / "state/rollout/controller.lock"):
        assert facts(story).live == ["a rollout"]
        assert project.signature(story) != before
    assert facts(story).live == []


def test_every_new_line_changes_the_signature(story):
    seen = {project.signature(story)}
    rollout_ledger.append(move("canary", 200 * 24 * 60, rollout="0005-canary"), story / LEDGER)
    seen.add(project.signature(story))
    with (story / "data/rollout/0004-canary/analyses.jsonl").open("a") as stream:
        stream.write("{}\n")
    seen.add(project.signature(story))
    assert len(seen) == 3


def test_every_transition_and_every_check_can_be_opened(story):
    found = decisions(facts(story))
    assert len(found) == 10 + 9
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    promoted = next(one for one in found if one.title == "0003-canary: promoted")
    assert promoted.again.command == "make replay-decision ROLLOUT=0003-canary"
    assert any("evidence-03.parquet" in value for _, value in promoted.facts)


def test_a_stage_says_its_last_refusal_and_how_long_it_took(story):
    cards = {c.name: c for c in stages(facts(story), book.read(ROOT), datetime.now(UTC))}
    assert list(cards) == list(stage_map())
    assert (cards["validate"].state, cards["register"].state) == ("refused", "done")
    assert ("took", "4.5 s") in cards["register"].facts
    assert cards["ingest"].state == "never"
    assert cards["validate"].state_words == "refused: DataRejected"


def test_runs_that_were_half_written_are_left_out(story):
    with (story / RUNS).open("a") as stream:
        stream.write('["monitor", 1.0,')
    assert [run.command for run in facts(story).runs] == ["register", "validate"]


def test_ages_are_told_in_their_largest_unit():
    assert ago(pd.Timedelta(seconds=5)) == "just now"
    assert ago(pd.Timedelta(hours=25)) == "1 day ago"
    assert ago(pd.Timedelta(minutes=150)) == "2 hours ago"


@pytest.mark.long
@pytest.mark.answer("ci-cd")
def test_a_stage_is_fresh_as_dvc_says_and_changes_with_its_config(tmp_path):
    """Held against DVC itself: `dvc status` of a pipeline of one stage."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/one.yaml").write_text("tolerance: 1.0e-05\nwindow: {first: 1}\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("a = 1\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: cp code/a.py out.txt\n    deps: [code]\n"
        "    params: [{configs/one.yaml: }]\n    outs: [out.txt]\n"
    )
    settings = dvc.isolated_environment()  # else it reports on itself, and leaves files of that
    for command in (["init", "--no-scm", "-q"], ["repro", "-q"]):
        dvc.run(tmp_path, *command, settings=settings)

    def states():
        (one,) = graph.read(tmp_path)
        said = dvc.run(tmp_path, "status", "--json", settings=settings)
        return one.state, one.changed, said.strip() == "{}"

    assert states() == ("fresh", [], True)
    (tmp_path / "configs/one.yaml").write_text("tolerance: 1.0e-04\nwindow: {first: 1}\n")
    assert states() == ("changed", ["configs/one.yaml"], False)
    (tmp_path / "configs/one.yaml").write_text("tolerance: 1.0e-05\nwindow: {first: 1}\n")
    (tmp_path / "code/b.py").write_text("b = 1\n")
    assert states() == ("changed", ["code"], False)


def test_a_pipeline_without_its_file_is_missing(empty):
    (empty / "dvc.yaml").unlink()
    assert graph.read(empty) == Missing(
        "the DVC pipeline", "dvc.yaml is missing or broken", "`git checkout dvc.yaml`"
    )


@pytest.fixture
def served(story):
    url = f"sqlite:///{story}/state/serve/log.db"
    with open_log(url, 10) as log:
        log.add(
            [
                (
                    *("r-1", 0, "challenger", "2", "b" * 64, "2013-06-27/UA/1545/EWR", 300_000),
                    *(None, None, "{}", 0.25, 1.0, 0.004),
                )
            ]
        )
    return story


@pytest.mark.answer("one-prediction")
def test_a_prediction_is_found_by_its_request_and_by_its_flight(served):
    before = sorted(path.name for path in (served / "state/serve").iterdir())
    for name in ("r-1", "2013-06-27/UA/1545/EWR"):
        (response,) = prediction.find(served, name, WORDS).responses
        assert (response.arm, response.version, response.risk) == ("challenger", "2", 0.25)
        assert response.predicted_at == (EPOCH + pd.Timedelta(minutes=300_000)).to_pydatetime()
    assert [one.request_id for one in prediction.newest(served, WORDS)] == ["r-1"]
    assert sorted(path.name for path in (served / "state/serve").iterdir()) == before


@pytest.mark.parametrize("name", ["nobody", "' OR 1=1 --", "é" * 80, ""])
def test_a_request_of_nobody_is_missing_with_a_way_on(served, name):
    found = prediction.find(served, name, WORDS)
    assert isinstance(found, Missing)
    assert found.command == "make explain REQUEST=2013-04-18/UA/1545/EWR"


def test_where_nothing_was_served_there_is_no_log(story):
    assert prediction.newest(story, WORDS).why == "nothing was served here yet"


def test_the_story_of_a_project_is_offered_and_the_newest_comes_first(story, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(story, root)
    assert list(project.projects(root)) == ["here"]
    shutil.copytree(story, root / project.STORY, dirs_exist_ok=True)
    (root / project.STORY / LEDGER).touch()
    assert list(project.projects(root)) == ["here", "story"]
    assert project.newest(root) == "story"
    shutil.copytree(story, root / project.YEAR)
    assert list(project.projects(root)) == ["here", "story", "year"]
