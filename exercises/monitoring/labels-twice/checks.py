"""The checks of the fold of label events."""

import pandas as pd

from exercises.workbench.checking import check, expect

DAY = pd.Timestamp("2013-05-14T10:00Z")
FLIGHTS = ["2013-05-13/UA/1545/EWR", "2013-05-13/B6/725/JFK", "2013-05-13/DL/461/LGA"]


def _events(*rows: tuple[int, int, float, float, int]) -> pd.DataFrame:
    """Events as (flight's place, late, hours to known, hours to arrival, revision)."""
    return pd.DataFrame(
        {
            "flight": [FLIGHTS[place] for place, *_ in rows],
            "late": [late for _, late, *_ in rows],
            "known_at": [DAY - pd.Timedelta(hours=12 - known) for _, _, known, *_ in rows],
            "arrived_at": [DAY + pd.Timedelta(hours=hours) for *_, hours, _ in rows],
            "revision": [revision for *_, revision in rows],
        }
    )


FILE = _events((0, 1, 0, 0, 0), (1, 0, 1, 0, 0), (2, 0, 2, 0, 0))
AGAIN = FILE.assign(arrived_at=DAY + pd.Timedelta(hours=1))


def _said(seen) -> list[int]:
    """The labels by flight, then duplicates, conflicts and corrections."""
    labels = dict(zip(seen.table["flight"], seen.table["late"], strict=True))
    counts = [seen.duplicates, len(seen.conflicts["flight"]), seen.corrections]
    return [*(labels.get(name, -1) for name in FLIGHTS), *counts]


@check(3)
def test_a_file_that_comes_twice_leaves_every_label(subject):
    """Labels, duplicates, conflicts and corrections after a file and the same file again."""
    seen = _said(subject.fold(pd.concat([FILE, AGAIN], ignore_index=True)))
    turns = [
        ([-1, -1, -1, 0, 6, 0], "a resend is no contradiction: it says the same an hour later"),
        ([1, 0, 0, 0, 0, 0], "the events that say nothing new are to be counted"),
    ]
    expect(seen, [1, 0, 0, 3, 0, 0], turns)


@check(2)
def test_the_order_of_the_files_does_not_matter(subject):
    """A fold over events: the later file first gives the same table."""
    seen = _said(subject.fold(pd.concat([AGAIN, FILE], ignore_index=True)))
    expect(seen, [1, 0, 0, 3, 0, 0])


@check(2)
def test_the_first_arrival_counts(subject):
    """What was known at an instant must not change when an old file comes again."""
    seen = subject.fold(pd.concat([AGAIN, FILE], ignore_index=True))
    expect(
        sorted(set(seen.table["arrived_at"])),
        [str(DAY)],
        [([str(DAY + pd.Timedelta(hours=1))], "the last arrival was kept, the first one counts")],
    )


@check(2)
def test_events_that_contradict_each_other_are_set_aside(subject):
    """Late and punctual at the same revision: no label until the source says more."""
    both = pd.concat([FILE, _events((0, 0, 0, 2, 0))], ignore_index=True)
    turns = [([1, 0, 0, 1, 0, 0], "the first one won in silence: keep what makes them differ")]
    expect(_said(subject.fold(both)), [-1, 0, 0, 0, 2, 0], turns)


@check(2, hidden=True)
def test_another_instant_of_knowledge_is_a_contradiction(subject):
    """The same label, known three hours later: which of the two is it?"""
    both = pd.concat([FILE, _events((0, 1, 3, 2, 0))], ignore_index=True)
    expect(_said(subject.fold(both)), [-1, 0, 0, 0, 2, 0])


@check(2)
def test_a_correction_replaces_and_is_counted(subject):
    """The highest revision counts, whatever came before."""
    both = pd.concat([FILE, _events((2, 1, 2, 30, 1))], ignore_index=True)
    expect(_said(subject.fold(both)), [1, 0, 1, 0, 0, 1])


@check(3, hidden=True)
def test_an_old_file_sent_again_does_not_undo_a_correction(subject):
    """Revision 0 that arrives after revision 1 is still the older one."""
    late = FILE.assign(arrived_at=DAY + pd.Timedelta(hours=40))
    every = pd.concat([FILE, _events((2, 1, 2, 30, 1)), late], ignore_index=True)
    turns = [([1, 0, 0, 3, 0, 0], "the event that came last won: revisions order events, not time")]
    expect(_said(subject.fold(every)), [1, 0, 1, 3, 0, 1], turns)
