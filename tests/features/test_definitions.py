import numpy as np
import pandas as pd
import pytest

from pipeline.features import definitions
from pipeline.features.definitions import FEATURES, MONOTONE, NUMERIC, ONE_HOT, ROLLING
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.domain import Rolling


def asked(**columns):
    return pd.DataFrame({"origin": ["EWR", "LGA"], "carrier": ["UA", "OO"]} | columns)


def test_every_feature_has_its_own_name():
    assert len(set(FEATURES)) == len(FEATURES) == len(NUMERIC) + len(ONE_HOT)


@pytest.mark.parametrize(("hours", "span"), [(1, "1h"), (24, "24h"), (168, "7d"), (672, "28d")])
def test_a_rolling_feature_is_named_after_its_window(hours, span):
    assert Rolling("origin", "late", hours).name == f"origin_late_{span}"


def test_the_season_is_no_feature():
    assert not {"temp", "dewp", "pressure", "month", "day"} & set(FEATURES)


def test_what_was_written_after_the_fact_is_no_feature():
    # The tail number is null only where the flight was cancelled.
    assert not [name for name in FEATURES if "tail" in name or "null" in name or "missing" in name]


def test_every_group_has_its_shrinkage_and_every_value_its_prior():
    config = load(FeaturesConfig)
    assert set(config.shrink_flights) == set(definitions.ENTITIES)
    assert set(config.prior) >= {rolling.value for rolling in ROLLING}


@pytest.mark.answer("schema-evolution")
def test_a_service_has_another_name_with_any_other_meaning(monkeypatch, record_property):
    settings = load(FeaturesConfig).model_dump()
    today = definitions.service_version(settings)
    names = {today, definitions.service_version(settings | {"horizon_minutes": 60})}
    for part, other in {
        "ENTITIES": definitions.ENTITIES | {"origin": ["dest"]},
        "ROLLING": ROLLING[:-1],
        "FEATURES": FEATURES[::-1],
        "RANGES": definitions.RANGES | {"visib": (0.0, 11.0)},
        "ONE_HOT": dict(list(ONE_HOT.items())[1:]),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(definitions, part, other)
            names.add(definitions.service_version(settings))
    assert len(names) == 7
    assert definitions.service_version(settings) == today
    record_property("changes of meaning, each with a name of its own", len(names) - 1)


def test_only_features_are_monotone():
    assert set(MONOTONE) <= set(FEATURES)
    assert set(MONOTONE.values()) == {-1, 1}


def test_the_matrix_has_a_row_per_flight_and_a_column_per_name():
    matrix = definitions.matrix(asked(distance=[1, 2], humid=[3.5, 4]), ["humid", "distance"])
    assert matrix.tolist() == [[3.5, 1], [4, 2]]


def test_the_matrix_is_float32():
    assert definitions.matrix(asked(distance=[1, 2]), ["distance"]).dtype == np.float32


def test_a_category_is_one_in_its_own_column_only():
    names = ["origin_is_EWR", "origin_is_JFK", "carrier_is_UA"]
    assert definitions.matrix(asked(), names)[0].tolist() == [1, 0, 1]


def test_a_carrier_without_a_column_is_none_of_them():
    assert definitions.matrix(asked(), [n for n in ONE_HOT if "carrier" in n])[1].sum() == 0


def test_an_unknown_or_missing_category_is_all_zeros():
    odd = asked().assign(origin=["SWF", None])
    assert definitions.matrix(odd, [n for n in ONE_HOT if "origin" in n]).sum() == 0


def test_the_order_of_categories_is_of_no_account():
    frame = asked().astype({"origin": pd.CategoricalDtype(["LGA", "JFK", "EWR"])})
    assert definitions.matrix(frame, list(ONE_HOT)).tolist() == (
        definitions.matrix(asked(), list(ONE_HOT)).tolist()
    )


def test_a_missing_value_stays_missing():
    assert np.isnan(definitions.matrix(asked(humid=[np.nan, 1]), ["humid"])[0, 0])
