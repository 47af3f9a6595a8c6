"""What was found is a page that is well formed, escapes what it is told, and shows the numbers."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.monitor.diagnose import MonthDiagnosis
from pipeline.monitor.diagnosis_report import diagnosis_report
from pipeline.monitor.month_report import PICTURE, draw_month, month_line, month_report
from pipeline.monitor.performance.refit_gain import RefitGain
from pipeline.monitor.shift_decomposition import Decomposition, Part
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.contracts import Kind, at_most
from tests.monitor import months

pytestmark = pytest.mark.answer("what-to-monitor")

HOSTILE = '"><script>alert(1)</script>&amp;<b'
VOID = {"meta", "img"}
ENDS_ITSELF = {"tr", "td", "th", "li"}
"""What HTML lets stand without an end."""


class Balance(HTMLParser):
    """The elements of a page, each ended where it has to be."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open[-1] != tag:
            ended = self.open.pop()
            assert ended in ENDS_ITSELF, f"{ended} is not ended before {tag}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    """A page's elements and text, if it is well formed."""
    assert text.startswith("<!doctype html>")
    found = Balance()
    found.feed(text)
    found.close()
    assert found.open == []
    assert "script" not in {tag for tag, _ in found.seen}
    return found


def finding(**changes):
    part = Part(point=0.05, low=0.04, high=0.06)
    whole = {
        "month": "2013-06",
        "champion": "c" * 64,
        "reference": "2013-01-08..2013-03-31",
        "rows": 28_243,
        "cause": "concept shift",
        "act": "escalate",
        "reasons": ["the relation moved"],
        "quality": [at_most(Kind.DATA, "missing weather", 0.01, 0.15, "1.0% of rows without")],
        "skew": {},
        "logged": 1_234,
        "decompositions": [
            Decomposition(
                inputs="all inputs",
                change=part,
                covariate=part,
                concept=part,
                separation=0.93,
                effective_reference=0.57,
                effective_window=0.58,
                identifiable=True,
            )
        ],
        "gain": RefitGain(
            point=-0.01,
            low=-0.02,
            high=0.01,
            first="2013-06-17",
            last="2013-06-30",
            days=14,
            rows=9_000,
        ),
    }
    return MonthDiagnosis(**whole | changes)


def test_a_finding_is_shown_with_each_step_of_the_triage():
    found = read(diagnosis_report(finding()))
    text = "".join(found.text)
    assert "2013-06: concept shift, escalate" in text
    for told in ("the relation moved", "+0.0500 [+0.0400, +0.0600]", "0.93", "1,234 logged rows"):
        assert told in text
    assert [text for text in found.text if re.match(r"\d\. ", text)] == [
        "1. Is the data sound?",
        "2. Was it served as training reads it?",
        "3. Other inputs, or another relation?",
        "4. What a refit would have gained",
        "5. Season",
    ]


def test_a_finding_that_stopped_at_the_data_says_what_was_not_asked():
    text = "".join(read(diagnosis_report(finding(decompositions=[], gain=None))).text)
    assert "Not asked: a model can be blamed for neither" in text
    assert "Not asked, or too few days have labels yet." in text


def test_skew_is_shown_the_worst_first():
    text = diagnosis_report(finding(skew={"humid": 3, "distance": 1_400}))
    assert text.index("distance") < text.index("humid")
    assert "<td class=n>1,400" in text


def test_what_a_finding_is_told_is_text_wherever_it_stands():
    broken = at_most(Kind.DATA, HOSTILE, 1, 0, HOSTILE)
    text = diagnosis_report(finding(reasons=[HOSTILE], quality=[broken], skew={HOSTILE: 1}))
    assert "".join(read(text).text).count(HOSTILE) == 4


def test_a_title_is_text_too():
    text = "".join(read(diagnosis_report(finding(month=HOSTILE))).text)
    assert text.count(f"{HOSTILE}: concept shift, escalate") == 2


def test_a_cell_is_shown_as_what_it_is():
    checks = [at_most(Kind.DATA, "a < b", value, 0.5, "") for value in (0.123456, 0.6)]
    text = diagnosis_report(finding(quality=checks, skew={"humid": 1_234}))
    shown = ("yes>yes", "no>no", "n>1,234", "n>0.1235")
    assert [cell for cell in shown if f"<td class={cell}" not in text] == []
    assert "<td>a &lt; b<td" in text


@pytest.fixture
def march(registered):
    """March as it was found, looked at once, on a project where no page is written yet."""
    return months.seen()


@pytest.mark.slow
def test_a_month_is_shown_in_three_layers_and_says_who_is_called(march):
    found = read(month_report(march))
    text = "".join(found.text)
    assert "2013-03: 0 alert(s)" in text
    assert "None fires." in text
    assert "PSI, trailing, to 2013-03-31" in text
    assert [t for t in found.text if re.match(r"\d\. ", t)] == [
        "1. Operations",
        "2. Inputs and predictions, before labels",
        "3. Outcomes",
    ]
    assert [tag for tag, _ in found.seen if tag == "a"] == []  # nothing is there to link to


@pytest.mark.slow
def test_what_a_month_is_told_is_text_wherever_it_stands(march):
    broken = at_most(Kind.DATA, "unseen carrier", 1, 0, f"not in training: {HOSTILE}")
    found = replace(march, checks=[broken], skew={HOSTILE: 1})
    assert "".join(read(month_report(found)).text).count(HOSTILE) >= 4


@pytest.mark.slow
def test_a_month_without_labels_is_shown_all_the_same(march):
    nothing = march.outcome.overall.model_copy(update={"log_loss": None, "mean_outcome": None})
    outcome = march.outcome.model_copy(
        update={"overall": nothing, "intervals": {}, "slices": {}, "days": [], "agreement": None}
    )
    found = replace(march, outcome=outcome, gain=None)
    assert "too few days have labels yet" in "".join(read(month_report(found)).text)
    draw_month(found)
    assert PICTURE.stat().st_size > 1_000


@pytest.mark.slow
def test_tickets_of_the_month_on_which_the_gate_passed_the_champion_are_no_news(registered):
    found = months.seen()
    alert = found.outcome.alert
    figures = alert.figures.model_copy(update={"excess": 0.5})
    worse = alert.model_copy(update={"status": "alert", "figures": figures})
    found = replace(found, outcome=found.outcome.model_copy(update={"alert": worse}))
    assert load(EvaluateConfig).window.first[:7] == found.name
    assert "; page: none; no news, since the gate passed version 1 on these days: ExcessLoss" in (
        month_line(found)
    )
    later = replace(found, name="2013-04")
    refitted = replace(found.champion, window=Window(first="2013-01-01", last="2013-01-20"))
    for other in (later, replace(found, champion=refitted)):
        assert ", outcome alert; page: none; ticket: ExcessLoss" in month_line(other)
