"""The checks of the mistake that serves percent for fraction."""

from exercises.workbench.checking import check, expect


def _remade(wanted):
    """Beside the solution: what the first mistake makes of a flight's features, and its name."""
    import pandas as pd

    from pipeline.features.definitions import NUMERIC
    from pipeline.serve.skew import Raw, mistakes

    trained = pd.DataFrame({name: [0.25, None] for name in NUMERIC}, dtype="float64")
    name, frame = next(iter(mistakes(trained, Raw(None, None, None))))
    return [name, {column: frame[column].tolist() for column in wanted}]


NAN = float("nan")


def _columns(subject, *wanted: str) -> list[object]:
    found = subject.do(_remade, wanted)[1]
    return [found[name] for name in wanted]


@check(3)
def test_a_share_is_remade_in_percent(subject):
    """0.25 was served as 25."""
    seen = _columns(subject, "origin_late_24h")
    turns = [
        ([[0.25, NAN]], "as it was: the list holds the minutes, and no share"),
        ([[0.0025, NAN]], "a mistake is remade from what is right: times a hundred"),
    ]
    expect(seen, [[25.0, NAN]], turns)


@check(2)
def test_shares_of_late_departures_are_shares_too(subject):
    """The proxy is a fraction, like the label."""
    expect(_columns(subject, "system_dep_late_3h"), [[25.0, NAN]])


@check(3)
def test_what_is_no_share_is_left_alone(subject):
    """Delays in minutes, the weather, and the schedule."""
    seen = _columns(subject, "origin_dep_delay_3h", "wind_speed", "distance", "aircraft_slack")
    expect(seen, [[0.25, NAN]] * 4, why="minutes, knots and miles are the same in percent")


@check(1, hidden=True)
def test_it_is_the_first_that_is_tried(subject):
    """Cheap mistakes come first, and the report uses their names."""
    expect(subject.do(_remade, [])[0], "percent for fraction")
