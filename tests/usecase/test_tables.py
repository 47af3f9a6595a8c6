"""Declared tables: what `table.yaml` says, how rows are split, what a snapshot is refused for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.errors import ConfigError, SourceRejected
from pipeline.shared.files import bytes_hash
from pipeline.tabular import declaration, published
from pipeline.tabular.declaration import Declaration, identifier
from pipeline.tabular.leak import determined
from pipeline.tabular.usecase import _monitored, use_case

VISITS = Path(__file__).parent / "visits"
HOUSES = {
    "noun": "houses",
    "label": {"column": "price", "above": 200.0},
    "key": ["id"],
    "numeric": ["rooms"],
    "categories": {"heating": ["gas", "oil"]},
}


def _houses(**changes: object) -> Declaration:
    return Declaration.model_validate({**HOUSES, **changes})


def _table(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"h{number}" for number in range(rows)],
            "rooms": rng.integers(1, 9, rows).astype("float64"),
            "heating": rng.choice(["gas", "oil"], rows),
            "price": rng.normal(200, 40, rows),
        }
    )


def _read(folder: Path, of: Declaration, *tables: pd.DataFrame) -> pd.DataFrame:
    """The snapshots of tables, each a version."""
    files = {}
    for number, table in enumerate(tables, 1):
        content = table.to_csv(index=False).encode()
        (folder / f"{number}.csv").write_bytes(content)
        files[f"{number}.csv"] = bytes_hash(content)
    config = IngestConfig(source=str(folder), as_of="2001-01", first_month="2001-01", files=files)
    return published.source("houses", of)(config)["houses"]


@pytest.mark.parametrize(("zone", "hours", "due"), [("UTC", 2, 34), ("UTC", 24, 58)])
@pytest.mark.parametrize("west", [False, True])
def test_labels_of_events_are_due_when_the_last_of_a_day_is_known(
    zone: str, hours: int, due: int, west: bool
) -> None:
    zone = "America/Los_Angeles" if west else zone
    time = {"column": "sold_at", "zone": zone, "known_after_hours": hours}
    monitored = _monitored(_houses(time=time))
    assert monitored.labels_due == pd.Timedelta(hours=due)


def test_a_row_is_on_the_same_side_in_every_version(tmp_path: Path) -> None:
    first = _table(400)
    rows = _read(tmp_path, _houses(), first, first.sample(frac=1, random_state=1))
    assert list(rows.groupby("month")["id"].nunique()) == [400, 400]
    days = rows.pivot_table(index="id", columns="month", values="day")
    assert (days[1] == days[2]).all()
    held_out = (rows["day"] > published.LEARNED_DAYS).mean()
    assert held_out == pytest.approx(0.3, abs=0.08)


@pytest.mark.answer("another-problem")
@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides(seed: int) -> None:
    rows = _table(500, seed)
    street = np.random.default_rng(seed).integers(0, 60, 500)
    days = published.split_days(rows.assign(street=street.astype("str")), _houses(group=["street"]))
    sides = pd.Series(days > published.LEARNED_DAYS).groupby(street).nunique()
    assert (sides == 1).all()
    assert set(np.unique(days)) <= set(range(1, 29))


def test_equal_rows_of_a_table_without_a_key_are_on_one_side() -> None:
    rows = _table(300).drop(columns="id")
    twice = pd.concat([rows, rows], ignore_index=True)
    days = published.split_days(twice, _houses(key=[]))
    assert (days[:300] == days[300:]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": {"column": "price"}}, "either `positive`, a value, or `above`"),
        ({"numeric": ["rooms", "price"]}, "price"),
        ({"numeric": [], "categories": {}}, "0 inputs"),
        ({"excluded": {"rooms": "known afterwards"}}, "excluded"),
        ({"naive": {"column": "street"}}, "is no input"),
        ({"held_out": 1.0}, "held_out"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_declaration_is_refused_by_its_key(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    (tmp_path / "table.yaml").write_text(str({**HOUSES, **change}).replace("'", '"'))
    with pytest.raises(ConfigError, match="wrong key") as refused:
        declaration.read(tmp_path)
    assert words in str(refused.value)


def test_a_table_with_other_columns_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(SourceRejected, match=r"has 5 columns, table\.yaml declares 4"):
        _read(tmp_path, _houses(), _table(30).assign(garden=1))
    with pytest.raises(SourceRejected, match=r"missing \['rooms'\]"):
        _read(tmp_path, _houses(), _table(30).drop(columns="rooms"))


def test_text_where_a_number_is_declared_is_refused_with_its_row(tmp_path: Path) -> None:
    rows = _table(30).astype({"rooms": "object"})
    rows.loc[7, "rooms"] = "many"
    with pytest.raises(SourceRejected, match=r"1 of 30 values .* first in row 7: 'many'"):
        _read(tmp_path, _houses(), rows)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mean Radius (mm)", "mean_radius_mm"),
        ("Day", "day_published"),
        ("2nd", "c_2nd"),
        ("%", "column"),
    ],
)
def test_a_published_name_becomes_an_identifier(text: str, name: str) -> None:
    assert identifier(text) == name
    assert identifier(name) == name


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_instants_with_an_offset_are_themselves_and_others_are_the_zones(zone: str) -> None:
    texts = pd.Series(["2011-07-04T17:00", "2011-01-04T17:00"])
    found = published.read_instants(texts, "at", zone)
    assert found.dt.tz_convert(zone).dt.hour.tolist() == [17, 17]
    aware = published.read_instants(texts + "+02:00", "at", zone)
    assert aware.dt.hour.tolist() == [15, 15]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["2011-07-04T17:00Z", "2011-07-05T17:00"], "mixes zones: 1 of 2"),
        (["2011-07-04", "yesterday"], "1 of 2 values that are no instants, first in row 2: 'yest"),
        (["2011-07-04", None], "1 of 2 values that are no instants"),
    ],
)
def test_instants_that_are_none_are_refused(texts: list[str | None], words: str) -> None:
    with pytest.raises(SourceRejected, match=words):
        published.read_instants(pd.Series(texts, dtype="object"), "at", "UTC")


def test_columns_that_determine_the_label_are_found_and_honest_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1000).astype("float64")
    honest = {"noise": rng.normal(size=1000), "weak": label + rng.normal(size=1000)}
    leaks = {
        "equal": label,
        "turned": 1 - label,
        "shifted": label * 3 + rng.uniform(size=1000),
        "as_text": np.where(label == 1, "yes", "no"),
        "by_value": np.where(label == 1, rng.choice([2, 4], 1000), rng.choice([1, 3], 1000)),
        "missing": np.where(label == 1, np.nan, 7.0),
    }
    assert set(determined(pd.DataFrame(honest | leaks), label)) == set(leaks)
    assert determined(pd.DataFrame(leaks), np.ones(1000)) == {}


def test_the_contract_of_a_declared_table_says_what_its_declaration_says() -> None:
    case = use_case(VISITS)
    assert case.events.name == case.name == "visits"
    assert list(case.tables) == ["visits"]
    assert case.features.rolling == []
    assert case.features.numeric == declaration.read(VISITS).numeric
    assert "groups (lpi, fmde, disea, physlm)" in case.question


def test_features_of_events_are_means_of_outcomes_known_before() -> None:
    time = {"column": "sold", "known_after_hours": 24, "entities": ["heating"], "days": [7]}
    of = _houses(time=time)
    rows = _table(50).assign(sold=pd.date_range("2011-01-01", periods=50, freq="7h").astype("str"))
    events = published._as_events(rows.assign(row=1), of)
    known = published.outcomes(of)(events)["price"].known
    assert (known - published.minutes(events["at_utc"]) == 24 * 60).all()


def test_every_value_of_a_category_has_an_input_of_its_own(tmp_path: Path) -> None:
    values = ["a b", "a-b", "€", "$", "2nd"]
    text = str({**HOUSES, "categories": {"heating": values}}).replace("'", '"')
    (tmp_path / "table.yaml").write_text(text, encoding="utf-8")
    one_hot = use_case(tmp_path).features.one_hot
    assert [value for _, value in one_hot.values()] == values
