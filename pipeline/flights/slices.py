"""Critical slices: groups of flights on which a challenger may not be worse."""

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.shared.config.evaluate import HourBands, SliceRule
from pipeline.shared.config.sections import Share


class NamedSlices(HourBands):
    """The carriers with a slice of their own, and the late share from which on it is a storm."""

    named_carriers: list[str] = Field(default=[])
    storm_share: Share = 1.0


class FlightSlices(SliceRule, NamedSlices):
    """The slices of flights; a verdict's config hash rests on the order of these keys."""


def slices(frame: pd.DataFrame, rule: FlightSlices) -> dict[str, np.ndarray]:
    """A mask for each critical slice: origins, hours, carriers, storms, aircraft seen lately.

    Every mask uses only what is known at the prediction, so slices can be monitored in serving.
    """
    masks = {f"origin {name}": frame["origin"] == name for name in sorted(set(frame["origin"]))}
    ends = [*rule.hour_bands[1:], 24]
    for first, end in zip(rule.hour_bands, ends, strict=True):
        masks[f"hour {first:02d}-{end - 1:02d}"] = frame["sched_hour"].between(first, end - 1)
    for carrier in rule.named_carriers:
        masks[f"carrier {carrier}"] = frame["carrier"] == carrier
    masks["carrier other"] = ~frame["carrier"].isin(rule.named_carriers)
    masks["storm"] = frame["system_dep_late_3h"] > rule.storm_share
    masks["aircraft known"] = frame["aircraft_known_at"].notna()
    return {name: mask.to_numpy() for name, mask in masks.items() if mask.any()}
