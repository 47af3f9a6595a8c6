"""The cockpit in a real Chromium: it loads, follows what happens, and works by keyboard.

The folder is one in which two months went by; the server is `python -m cockpit`, as `make ui` is.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cockpit import static_page
from cockpit.facts.book import PLACES
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import LEDGER
from pipeline.rollout.traffic.servers import free_ports
from pipeline.shared import loopback
from tests import needs
from tests.cockpit import life
from tests.flow import browser
from tests.flow.test_book import AXE, PHONE
from tests.patience import until
from tests.rules.tree import ROOT
from tests.shared.moves import NEW, move

pytestmark = [pytest.mark.slow, needs.unless(browser.program(), "chromium")]
WIDTHS = (1200, 360, PHONE[0])


@pytest.fixture
def story(tmp_path: Path) -> Path:
    return life.live_through(tmp_path / "story")


@contextmanager
def opened(folder: Path, port: int) -> Iterator[str]:
    """A cockpit of a folder; its address."""
    command = [sys.executable, "-m", "cockpit", f"--port={port}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as one:
        try:
            until(lambda: loopback.get(port, "/signature"))
            yield f"http://127.0.0.1:{port}/"
        finally:
            one.terminate()


@pytest.fixture
def address(story: Path) -> Iterator[str]:
    with opened(story, free_ports(1)[0]) as found:
        yield found


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[browser.Tab]:
    with browser.opened(tmp_path / "profile") as found:
        found.look()
        yield found


def faults(tab: browser.Tab, address: str = "file:") -> list[str]:
    """What the browser complained about, and what it asked of anybody else."""
    return [one for one in tab.faults if not one.startswith(f"asked for {address}")]


def wait(tab: browser.Tab, expression: str) -> None:
    def settled() -> bool:
        tab.run("new Promise((done) => setTimeout(done, 50))")
        return bool(tab.run(expression))

    until(settled, lambda: expression)


def overflow(tab: browser.Tab) -> int:
    root = "document.documentElement"
    return int(tab.run(f"{root}.scrollWidth - {root}.clientWidth"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_loads_without_an_error_asks_nobody_else_and_fits(
    tab: browser.Tab, address: str, dark: bool
) -> None:
    wide = {}
    for width in WIDTHS:
        tab.look(width, dark=dark)
        tab.go(address)
        wide[width] = overflow(tab)
    assert wide == dict.fromkeys(WIDTHS, 0)
    assert faults(tab, address) == []


def test_one_file_opens_without_a_server(tab: browser.Tab, story: Path) -> None:
    static_page.write(story)
    tab.go((story / static_page.FILE).as_uri())
    assert tab.run("document.querySelector('h1').innerText") == "Version 2 served all requests"
    tab.run("location.hash = '#entry-7'")
    wait(tab, "document.querySelector('#entry-7').open")
    assert tab.faults == []


@pytest.mark.long
@needs.unless(AXE.is_file(), "axe-core")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(tab: browser.Tab, address: str, dark: bool) -> None:
    found = {}
    for width in WIDTHS[:2]:
        tab.look(width, dark=dark)
        tab.go(address)
        tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
        tab.run(AXE.read_text(encoding="utf-8"))
        told = tab.run(
            "axe.run({preload: false}).then((done) => done.violations.map((one) =>"
            " one.id + ': ' + one.nodes.map((node) => node.target).join(', ')))"
        )
        found |= {width: told} if told else {}
    assert found == {}


@pytest.mark.long
def test_the_keyboard_reaches_a_decision_and_its_evidence(tab: browser.Tab, address: str) -> None:
    tab.go(address)
    tab.press("Tab")
    assert tab.run("document.activeElement.innerText") == "Skip to who serves"
    tab.run("document.querySelector('.strip a[href=\"#entry-7\"]').focus()")
    tab.press("Enter")
    wait(tab, "document.querySelector('#entry-7').open")
    assert tab.run("document.activeElement.tagName") == "SUMMARY"
    assert "evidence-03.parquet" in tab.run("document.querySelector('#entry-7').innerText")


@pytest.mark.long
def test_each_part_leads_to_its_answer_and_the_answer_back(tab: browser.Tab, address: str) -> None:
    tab.go(address)
    for place in PLACES:
        first = f"document.querySelector('#{place} .about a')"
        tab.run(f"{first}.click()")
        slug = tab.run(f"{first}.hash.slice(1)")
        wait(tab, f"document.getElementById('{slug}').open")
        back = f"document.querySelector('#{slug} [data-evidence]')"
        assert tab.run(f"document.querySelector({back}.hash).checkVisibility()")
    assert faults(tab, address) == []


def test_what_happens_is_shown_without_a_reload_and_what_was_opened_stays_open(
    tab: browser.Tab, address: str, story: Path
) -> None:
    tab.go(address)
    tab.run("document.querySelector('#entry-2').open = true")
    later = move("canary", life.BEGUN + 30 * life.DAY, rollout="0005-canary", champion=NEW)
    rollout_ledger.append(later, story / LEDGER)
    wait(tab, "document.querySelector('#entry-11') !== null")
    assert tab.run("document.querySelector('#entry-2').open")
    assert "0005-canary was interrupted" in tab.run("document.querySelector('.wrong').innerText")
    assert faults(tab, address) == []


@pytest.mark.long
def test_a_lost_connection_is_said_and_found_again(tab: browser.Tab, story: Path) -> None:
    port = free_ports(1)[0]
    shown = "document.querySelector('#lost').checkVisibility()"
    with opened(story, port) as address:
        tab.go(address)
        assert not tab.run(shown)
    wait(tab, shown)
    assert "make ui" in tab.run("document.querySelector('#lost').innerText")
    assert tab.run("document.querySelector('h1').innerText") == "Version 2 served all requests"
    with opened(story, port):
        wait(tab, f"!{shown}")


def test_a_decision_is_made_again_on_the_page(tab: browser.Tab, address: str) -> None:
    tab.go(address)
    button = "document.querySelector('#rollout-0004-canary [data-run]')"
    tab.run(f"{button}.click()")
    wait(tab, "document.querySelector('#rollout-0004-canary .said') !== null")
    said = tab.run("document.querySelector('#rollout-0004-canary .said').innerText")
    assert said.startswith("ArtifactTampered: entry 10 recorded 'rollback'")


@pytest.mark.long
def test_a_request_of_nobody_gets_a_way_on(tab: browser.Tab, address: str) -> None:
    tab.go(address)
    tab.run(f"document.querySelector('#request').value = {json.dumps('nobody <b>')}")
    tab.await_load("document.querySelector('#prediction form').requestSubmit()")
    said = tab.run("document.querySelector('#prediction').innerText")
    assert "make" in said
    assert faults(tab, address) == []


@pytest.mark.long
def test_the_tour_leads_through_the_page_by_keys(tab: browser.Tab, address: str) -> None:
    tab.go(f"{address}?tour=1")
    shown = "document.querySelector('#tour article:not([hidden])')"
    assert tab.run(f"{shown}.querySelector('h2').innerText") == "Who serves, and since when"
    places = []
    for _ in range(tab.run("document.querySelectorAll('#tour article').length")):
        place = tab.run(f"{shown}.dataset.place")
        assert tab.run(f"document.getElementById('{place}').classList.contains('shown')")
        places.append(place)
        tab.press("ArrowRight")
    assert places[:2] == ["now", "time"]
    assert {"rollout-0003-canary", "rollout-0004-canary"} <= set(places)
    assert len(set(places)) == len(places)
    tab.press("Escape")
    assert not tab.run("document.querySelector('#tour').checkVisibility()")
    assert faults(tab, address) == []
