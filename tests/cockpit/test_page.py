"""The page: it says what is there and what is missing, names its answers, and writes nothing."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from cockpit import places, static_page, tour, views
from cockpit.facts import book, project
from cockpit.ports import listen
from cockpit.tools.own_windows import open_windows
from cockpit.views import View
from cockpit.web import application
from docs.pages import find
from pipeline.records.rollout_ledger import LEDGER
from pipeline.retrain.journal import JOURNAL
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.watcher import hold
from tests.cockpit.life import fingerprint
from tests.rules.tree import ROOT


def page(folder, **told):
    return views.page(project.read(folder, "a story"), View(ROOT, **told))


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.answer("who-served")
def test_the_first_lines_say_who_serves_since_when_why_and_what_is_wrong(story):
    said = text_of(page(story))
    first = said[: said.index("Time Above, which version")]
    assert "Who served last Version 2 served all requests" in first
    assert "since 3 July 2013" in first or "since 5 July 2013" in first
    assert "canary 0003 promoted it: no alarm in any step" in first
    assert "Nothing urgent: 3 to look at, 1 to know." in first
    assert re.search(r"As of \d+ July 2013, \d\d:\d\d UTC , where a story stopped\.", first)
    assert "No server, rollout or loop of it runs on this machine now." in first


def test_while_something_runs_the_page_speaks_of_now(story):
    lock = story / "state/retrain/loop.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with hold(lock):
        said = text_of(page(story))
    assert "Live the closed loop is running; the replay's clock shows " in said
    assert "Who serves now Version 2 serves all requests" in said
    assert "stood still" not in said


@pytest.mark.answer("silent-degradation")
def test_a_page_reads_and_writes_nothing(story):
    before = fingerprint(story)
    page(story, request="nobody")
    assert fingerprint(story) == before


BROKEN = {
    "no champion yet": (lambda folder: None, "make run"),
    "an empty ledger": (lambda folder: write(folder / LEDGER, b""), "make run"),
    "a ledger that is none": (lambda folder: write(folder / LEDGER, b"x" * 200), "make repair"),
    "a journal that is none": (lambda folder: write(folder / JOURNAL, b"x" * 200), "make repair"),
    "a half-written report": (
        lambda folder: write(folder / "data/monitor/outcome.json", b'{"at": "20'),
        "make monitor",
    ),
    "a report of the data gate that is none": (
        lambda folder: write(folder / "data/validate/report.json", b"[1"),
        "make validate",
    ),
    "a verdict that is a folder": (
        lambda folder: (folder / "data/evaluate/verdict.json").mkdir(parents=True),
        "make evaluate",
    ),
    "a registry that is none": (
        lambda folder: write(folder / "state/mlflow.db", b"x" * 200),
        "make repair",
    ),
    "a config that is broken": (
        lambda folder: write(folder / "configs/register.yaml", b"model_name: ["),
        "`git diff configs/register.yaml`",
    ),
    "no configs": (
        lambda folder: (folder / "configs").rename(folder / "gone"),
        "`git diff configs/`",
    ),
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("lived", [False, True], ids=["nothing happened", "a story"])
@pytest.mark.parametrize("name", BROKEN)
def test_bad_state_is_a_page_that_says_what_helps(story, empty, name, lived):
    folder = story if lived else empty
    spoil, command = BROKEN[name]
    spoil(folder)
    before = fingerprint(folder)
    said = page(folder, request="nobody")
    if not lived or name != "no champion yet":
        assert command.strip("`") in said
    assert "Traceback" not in said
    assert fingerprint(folder) == before


def test_a_moved_folder_shows_what_it_holds(story, tmp_path):
    moved = story.rename(tmp_path / "moved % {here}")
    assert "Version 2 served all requests" in text_of(page(moved))


def test_what_a_file_holds_becomes_no_markup(story):
    path = (story / LEDGER).with_suffix(".jsonl")
    (story / LEDGER).unlink()
    path.unlink()
    from pipeline.records import rollout_ledger
    from tests.shared.moves import registered

    rollout_ledger.append(registered(by="<script>alert(1)</script>"), story / LEDGER)
    said = page(story, request="<img src=x>")
    assert "<script>alert" not in said
    assert "<img src=x>" not in said


# Every part names its answers; every question finds its evidence.


class _Links(HTMLParser):
    """The ids of a page, its inner links, and by answer the evidence that it leads to."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.evidence = set(), set(), {}

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if "id" in told:
            assert told["id"] not in self.ids, f"two elements are called {told['id']}"
            self.ids.add(told["id"])
        if tag == "a" and (told.get("href") or "").startswith("#"):
            self.links.add(told["href"][1:])
            if "data-evidence" in told:
                self.evidence.setdefault(told["data-evidence"], set()).add(told["href"][1:])


def links_of(html):
    found = _Links()
    found.feed(html)
    return found


def test_every_link_leads_somewhere_on_the_page(story):
    found = links_of(page(story))
    assert found.links - found.ids == set()


def test_from_the_page_every_question_finds_its_evidence_within_two_clicks(story):
    """The first click opens an answer, the second leads to a part of the page that shows it."""
    known = book.read(ROOT)
    found = links_of(page(story))
    reached = {
        question
        for question, slug in known.questions
        if f"answer-{slug}" in found.links and found.evidence.get(slug, set()) & found.ids
    }
    assert {question for question, _ in known.questions} - reached == set()
    shown = {one.question for one in known.answers.values() if not one.argued}
    assert len(shown & reached) >= 40


def test_every_answer_of_the_book_has_a_place_and_every_place_answers_that_exist():
    known = book.read(ROOT)
    named = {slug for slugs in book.PLACES.values() for slug in slugs}
    assert named == set(known.answers)
    assert set(book.PLACES) == set(places.TITLES) <= set(places.NAV)


@pytest.mark.parametrize("place", book.PLACES)
def test_every_part_names_an_answer_and_a_drill_that_there_is(story, place):
    known = book.read(ROOT)
    assert known.drill_of(place) in known.drills
    section = page(story).partition(f'<section id="{place}"')[2].partition("</section>")[0]
    assert f'href="#answer-{known.of(place)[0].slug}"' in section
    assert f"make drill D={known.drill_of(place)}" in section


def test_every_stop_of_the_tour_is_on_the_page_and_has_its_answer(story, empty):
    known = book.read(ROOT)
    for folder, many in ((story, 8), (empty, 5)):
        found = tour.stops(project.read(folder, "a story"))
        assert len(found) == many
        assert {stop.place for stop in found} <= links_of(page(folder)).ids
        assert {stop.answer for stop in found} <= set(known.answers)


def test_the_book_is_read_as_it_is_printed():
    one = book.read(ROOT).answers["rollback"]
    assert one.question == "How do you roll back, and how fast?"
    assert one.spoken[0] == find("rollback").spoken
    assert len(one.further) >= 3
    for one in book.read(ROOT).answers.values():
        printed = " ".join([*one.spoken, *(text for pair in one.further for text in pair)])
        assert re.findall(r"\]\(|<!--", printed) == [], one.slug


# The server.


@pytest.fixture
def client(story):
    return TestClient(application(story), base_url="http://127.0.0.1:8765")


def test_the_server_shows_the_page_and_the_part_that_changes(client):
    whole, part = client.get("/"), client.get("/live")
    assert (whole.status_code, part.status_code) == (200, 200)
    assert "Version 2 served all requests" in text_of(part.text)
    assert part.text.strip() in whole.text
    assert "default-src 'self'" in whole.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "10.0.0.1:8765"])
def test_a_name_that_is_not_this_machine_gets_nothing(client, host):
    assert client.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/decide-again?rollout=0003-canary",
        "/explanation?request=r-1",
    ],
)
def test_a_page_elsewhere_starts_nothing_here(client, path):
    assert client.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_sent_to_it(client, method):
    assert getattr(client, method)("/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/?of=elsewhere",
        "/?request=" + "x" * 5000,
        "/?request=%00%ff",
        "/?of=../..",
        "/signature?of=x",
    ],
)
def test_odd_requests_are_answered(client, path):
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/assets/../web.py", "/assets/%2e%2e%2fweb.py", "/assets/none.css"]
)
def test_no_other_file_is_given(client, path):
    assert client.get(path).status_code == 404


def test_a_rollout_that_is_no_name_starts_no_process(client):
    said = client.get("/decide-again?rollout=;rm -rf /").text
    assert said == "';rm -rf /' names no rollout; one is 0003-canary"


@pytest.mark.slow
@pytest.mark.answer("canary-decides")
def test_a_decision_comes_out_again_from_the_page_and_a_changed_one_does_not(client, story):
    again = "/decide-again?rollout=0004-canary"
    before = fingerprint(story)
    assert client.get(again).text.startswith("ArtifactTampered: entry")  # its plan has no digest
    assert fingerprint(story) == before


def test_a_port_in_use_names_the_page_that_may_run_there():
    with listen(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentUnfit, match=f"make ui PORT={port + 1}"):
            listen(port)


PATHS = ["/", "/live", "/signature", "/decide-again?rollout=0004-canary", "/explanation?request=x"]


@pytest.mark.parametrize("path", [*PATHS, *(f"/tools/{tool}" for tool in places.TOOLS)])
def test_a_folder_that_was_moved_while_it_is_shown_is_said(story, tmp_path, path):
    with open_windows() as windows:
        client = TestClient(application(story, windows), base_url="http://127.0.0.1:8765")
        story.rename(tmp_path / "elsewhere")
        answer = client.get(path)
    assert answer.status_code == 409
    assert answer.text.startswith(f"ArtifactMissing: {story} is not there any more")
    assert not story.exists()


# One file, and a small process.


def test_one_file_holds_everything(story):
    line = static_page.write(story)
    assert line == "this project, as one file -> state/cockpit.html"
    said = (story / "state/cockpit.html").read_text()
    assert "Version 2 served all requests" in text_of(said)
    assert re.findall(r'(?:src|href)="(?!#|data:)', said) == []


def test_it_loads_no_library_of_data_and_stays_small(story):
    """Without pandas and MLflow it opens at once; 150 MB is what a page may take."""
    script = (
        "import psutil, sys\nfrom pathlib import Path\n"
        "from cockpit import views, web\nfrom cockpit.facts import project\n"
        "folder = Path(sys.argv[1])\nweb.application(folder)\n"
        "views.page(project.read(folder, 'x'), views.View(folder))\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'mlflow', 'dvc', 'sklearn', 'matplotlib'}\n"
        "print(psutil.Process().memory_info().rss // 2**20, *heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(story)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    megabytes, *heavy = done.stdout.split()
    assert heavy == []
    assert int(megabytes) < 150
