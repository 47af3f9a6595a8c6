"""A skew report of a served morning, made by the real comparison from two planted mistakes."""

import json

import numpy as np
import pandas as pd

from exercises.workbench.checking import ROOT
from pipeline.features.definitions import LABEL, NUMERIC, ROLLING, VIEWS
from pipeline.flights.features import WEATHER
from pipeline.serve.skew import Mismatch, Raw, mismatches
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.yaml_files import parse
from pipeline.usecase.chosen import SECTIONS

FLIGHTS = 240


def _trained() -> pd.DataFrame:
    """What training reads of a morning: a fourth of the weather is missing."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({name: rng.random(FLIGHTS).round(3) for name in NUMERIC})
    frame.loc[rng.random(FLIGHTS) < 0.25, WEATHER] = np.nan
    return frame


def report() -> list[Mismatch]:
    """The mismatches: shares of late flights in percent, and zero for missing weather."""
    trained = _trained()
    shares = [window.name for window in ROLLING if window.value == LABEL and window.hours == 168]
    served = trained.assign(**{name: trained[name] * 100 for name in shares})
    served[WEATHER] = served[WEATHER].fillna(0.0)
    served = served.assign(**{f"{view}_flag": "" for view in VIEWS})
    config = SECTIONS[FeaturesConfig].model_validate(
        parse((ROOT / "configs/features.yaml").read_text(encoding="utf-8"))
    )
    return mismatches(served, trained, Raw(pd.DataFrame(), pd.DataFrame(), config))


def named(feature: str) -> Mismatch:
    """The mismatch of a feature."""
    return next(one for one in report() if one.feature == feature)


def files() -> dict[str, str]:
    """The report as a person gets it: without what it looks like."""
    rows = [one.model_dump(exclude={"mistake"}) for one in report()]
    text = json.dumps({"flights": FLIGHTS, "features": rows}, indent=1)
    return {"evidence/skew.json": f"{text}\n"}
