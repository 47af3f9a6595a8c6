"""The checks of the fold of label events."""

import pandas as pd

from exercises.workbench.checking import check, expect

DAY = pd.Timestamp("2013-05-14T10:00Z")
NAMES = [f"2013-05-13/UA/{number}/EWR" for number in (11, 22, 33, 44)]
Event = tuple[int, int, float, float, int]


def _events(*rows: Event) -> pd.DataFrame:
    """Events as (flight's place, late, hours to known, hours to arrival, revision)."""
    return pd.DataFrame(
        {
            "flight": [NAMES[place] for place, *_ in rows],
            "late": pd.Series([late for _, late, *_ in rows], dtype="int8"),
            "known_at": [DAY - pd.Timedelta(hours=12 - known) for _, _, known, *_ in rows],
            "arrived_at": [DAY + pd.Timedelta(hours=hours) for *_, hours, _ in rows],
            "revision": [revision for *_, revision in rows],
        }
    )


def _fold(subject, *rows: Event) -> object:
    return subject.fold(_events(*rows))


def _labels(seen) -> dict[str, int]:
    return dict(zip(seen.table["flight"], seen.table["late"], strict=True))


@check(1)
def test_each_flight_has_its_label(subject):
    """A row per flight, by name."""
    seen = _fold(subject, (1, 0, 1, 0, 0), (0, 1, 0, 0, 0))
    expect(seen.table["flight"], NAMES[:2])
    expect(seen.table["late"], [1, 0])


@check(2)
def test_the_highest_revision_counts_whenever_it_came(subject):
    """Revisions order events; arrivals do not."""
    seen = _fold(subject, (0, 1, 0, 5, 1), (0, 0, 0, 9, 0))
    expect(_labels(seen), {NAMES[0]: 1}, [({NAMES[0]: 0}, "the event that came last won")])


@check(2)
def test_events_that_say_nothing_new_are_counted(subject):
    """And the first arrival of each content is kept."""
    seen = _fold(subject, (0, 1, 0, 7, 0), (0, 1, 0, 2, 0), (0, 1, 0, 4, 0))
    expect([seen.duplicates, seen.table["arrived_at"]], [2, [str(DAY + pd.Timedelta(hours=2))]])


@check(2)
def test_a_contradiction_gives_no_label(subject):
    """Both events are set aside, and the other flights keep theirs."""
    seen = _fold(subject, (0, 1, 0, 0, 0), (0, 0, 0, 1, 0), (1, 0, 0, 0, 0))
    expect([_labels(seen), len(seen.conflicts["flight"])], [{NAMES[1]: 0}, 2])


@check(2)
def test_a_later_revision_settles_a_contradiction(subject):
    """The source has said more."""
    seen = _fold(subject, (0, 1, 0, 0, 0), (0, 0, 0, 1, 0), (0, 1, 0, 30, 1))
    expect([_labels(seen), len(seen.conflicts["flight"])], [{NAMES[0]: 1}, 0])


@check(2)
def test_corrections_are_flights_whose_label_changed(subject):
    """Against their first revision; the same label again corrects nothing."""
    seen = _fold(subject, (0, 1, 0, 0, 0), (0, 0, 0, 9, 1), (1, 1, 0, 0, 0), (1, 1, 2, 9, 1))
    expect(seen.corrections, 1)


@check(1, hidden=True)
def test_no_event_is_no_label(subject):
    """Before the first file."""
    seen = _fold(subject)
    expect([seen.table["flight"], seen.duplicates, seen.corrections], [[], 0, 0])


def _shuffled(rows):
    """Beside the solution: the tables of thirty shuffles with repetitions; how many differ."""
    import numpy as np

    from pipeline.monitor.performance.delayed_labels import fold

    rng, tables = np.random.default_rng(14), set()
    for _ in range(30):
        chosen = np.concatenate([np.arange(len(rows)), rng.integers(0, len(rows), 5)])
        seen = fold(rows.iloc[rng.permutation(chosen)].reset_index(drop=True))
        tables.add(seen.table.to_csv() + seen.conflicts.to_csv() + str(seen.corrections))
    return len(tables)


@check(3, hidden=True)
def test_any_order_and_any_repetition_give_the_same(subject):
    """A fold: thirty shuffles, each with events twice."""
    rows = _events(
        *((0, 1, 0, 0, 0), (0, 0, 0, 9, 1), (0, 0, 0, 20, 1), (1, 1, 0, 0, 0), (1, 0, 0, 3, 0)),
        *((2, 1, 0, 0, 0), (2, 0, 1, 4, 0), (2, 1, 1, 40, 2), (3, 0, 0, 0, 0), (3, 0, 5, 8, 1)),
    )
    expect(subject.do(_shuffled, rows), 1, why="the order of events matters")
