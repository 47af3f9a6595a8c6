"""configs/<stage>.yaml as frozen, typed sections; a stage gets its own section and no other."""

import os
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.shared import documents, secrets
from pipeline.shared.errors import ConfigError
from pipeline.shared.files import read_at_most
from pipeline.shared.secrets import Address

CONFIGS = Path("configs")
MAX_CONFIG_BYTES = 64_000
"""Twenty times the largest of them; a config is written by hand."""

Month = Annotated[str, Field(pattern=r"^2013-(0[1-9]|1[0-2])$")]


def _on_the_calendar(day: str) -> str:
    date.fromisoformat(day)
    return day


Day = Annotated[str, Field(pattern=r"^2013-\d\d-\d\d$"), AfterValidator(_on_the_calendar)]


def _month_or_day(arrived: str) -> str:
    return arrived if len(arrived) == 7 else _on_the_calendar(arrived)


Arrived = Annotated[
    str, Field(pattern=r"^2013-(0[1-9]|1[0-2])(-\d\d)?$"), AfterValidator(_month_or_day)
]
"""What has arrived: a whole month, or its beginning up to a day."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone, as America/New_York is") from error
    return name


PUBLISHED = ("flights.csv.zip", "weather.csv", "airports.csv")
Zone = Annotated[str, AfterValidator(_known_zone)]


class Section(BaseModel):
    """A part of a config: no unknown key, no infinite number, no change after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageConfig(Section):
    """The whole of one configs/<stage>.yaml."""

    stage: ClassVar[str]
    environment: ClassVar[dict[str, str]] = {}
    """Keys that a variable of the environment replaces, where it is set and not empty."""


class Window(Section):
    """Scheduled departures from the first day to the last, both included (New York dates)."""

    first: Day
    last: Day

    @model_validator(mode="after")
    def _in_order(self) -> "Window":
        if self.first > self.last:
            raise ValueError(f"first {self.first} is after last {self.last}")
        return self


class IngestConfig(StageConfig):
    """Where the published files come from, what they must hash to, what has arrived."""

    stage = "ingest"
    source: str
    as_of: Arrived
    first_month: Month
    files: dict[str, Sha256]
    airport_zones: dict[str, Zone]

    @model_validator(mode="after")
    def _is_complete(self) -> "IngestConfig":
        if set(self.files) != set(PUBLISHED):
            raise ValueError(f"files are {sorted(self.files)}, needed are {sorted(PUBLISHED)}")
        if self.first_month > self.as_of:
            raise ValueError(f"first_month {self.first_month} is after as_of {self.as_of}")
        return self


Positive = Annotated[float, Field(gt=0)]
FlightNumber = Literal[
    "sched_dep_time", "dep_delay", "sched_arr_time", "arr_delay", "air_time", "distance"
]
WeatherNumber = Literal[
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]


def _in_order(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"lower limit {limits[0]} is above upper limit {limits[1]}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_in_order)]


FlightGap = Literal[
    "sched_clock_gap",
    "dep_clock_gap",
    "arr_clock_gap",
    "time_hour_gap",
    "ground_minutes",
    "distance_gap",
]
FlightShare = Literal[
    "minutes_made_up",
    "late_both_ways",
    "delay_rank_correlation",
    "diverted_that_day",
    "same_as_another_day",
    "aircraft_elsewhere",
    "aircraft_of_others",
    "aircraft_of_others_by_carrier",
    "routes_not_known",
    "flight_numbers_not_known",
    "air_time_ratio",
    "origin_volume",
    "part_of_day_volume_1",
    "part_of_day_volume_3",
    "part_of_day_volume_7",
]
WeatherGap = Literal["local_hour_gap", "time_hour_gap", "gust_above_wind", "temp_above_dewp"]
WeatherShare = Literal[
    "humidity_of_dew_point",
    "same_as_hour_before",
    "same_as_day_before",
    "origin_out_of_step",
    "rain_in_dry_air",
    "hours_off_the_sun",
    "temp_missing",
    "humid_missing",
    "wind_dir_missing",
    "wind_speed_missing",
    "precip_missing",
    "pressure_missing",
    "visib_missing",
    "temp_apart",
    "dewp_apart",
    "humid_apart",
    "pressure_apart",
    "wind_speed_apart",
    "temp_step",
    "dewp_step",
    "pressure_step",
]


class Consistency(Section):
    """What rows and days have to agree with; the measures are in pipeline/validate."""

    flight_rows: dict[FlightGap, Range]
    flight_days: dict[FlightShare, Range]
    weather_rows: dict[WeatherGap, Range]
    weather_days: dict[WeatherShare, Range]


class HoursToMonthEnd(Section):
    """How long before the month's end a table's last row may be."""

    flights: Positive
    weather: Positive


class ValidateConfig(StageConfig):
    """The numbers in the rules that a month of data must pass."""

    stage = "validate"
    reference: list[Month] = Field(min_length=1)
    flights_a_day: Range
    weather_hours_a_day: Range
    max_hours_to_month_end: HoursToMonthEnd
    max_quarantined_share: Share
    max_quarantined_share_of_day: Share
    max_late_share: Share
    max_cancelled_share: Share
    max_diverted_share: Share
    max_missing_share: dict[WeatherNumber, Share]
    flight_ranges: dict[FlightNumber, Range]
    weather_ranges: dict[WeatherNumber, Range]
    max_divergence: dict[Literal["origin", "carrier", "hour"], Positive]
    unseen_share: Annotated[float, Field(gt=0, lt=1)]
    max_mean_shift: dict[FlightNumber, Positive]
    max_spread_ratio: float = Field(gt=1)
    min_days_of_shape: int = Field(ge=1, le=28)
    consistency: Consistency


class FeaturesConfig(StageConfig):
    """What turns raw rows into features known at the instant of the prediction."""

    stage = "features"
    horizon_minutes: int = Field(gt=0, le=24 * 60)
    grid_minutes: int = Field(gt=0, le=60)
    baseline_days: int = Field(gt=0)
    shrink_flights: dict[str, Annotated[float, Field(gt=0)]]
    aircraft_hours: int = Field(gt=0)
    weather_hours: int = Field(gt=0)
    prior: dict[str, float]


class BoostingParameters(Section):
    """Parameters of scikit-learn's HistGradientBoostingClassifier, under its own names."""

    max_iter: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(gt=0)
    l2_regularization: float = Field(ge=0)


class TrainConfig(StageConfig):
    """The window, the model's parameters, and what the stored model must agree to."""

    stage = "train"
    window: Window
    refit_until: Day | None
    seed: int = Field(ge=0)
    threads: int = Field(gt=0)
    boosting: BoostingParameters
    monotone: bool
    drop_features: list[str]
    logistic_c: float = Field(gt=0)
    min_rows: int = Field(gt=0)
    parity_tolerance: float = Field(gt=0, le=1e-3)

    @model_validator(mode="after")
    def _refit_learns_more(self) -> "TrainConfig":
        if self.refit_until is not None and self.refit_until <= self.window.last:
            raise ValueError(f"refit_until {self.refit_until} is not after {self.window.last}")
        return self

    @property
    def whole(self) -> Window:
        """What the model that goes live learns from."""
        return Window(first=self.window.first, last=self.refit_until or self.window.last)

    @property
    def recipe(self) -> str:
        """Everything but which days are learned from, as JSON: the same recipe is a refresh."""
        return self.model_dump_json(exclude={"window", "refit_until"})


class Bootstrap(Section):
    """The day-clustered bootstrap behind every interval of the gate."""

    draws: int = Field(ge=200)
    seed: int = Field(ge=0)
    confidence: float = Field(gt=0.5, lt=1)


def _whole_day(first_hours: list[int]) -> list[int]:
    """Bands that leave no hour out and share none."""
    if first_hours[:1] != [0] or any(a >= b for a, b in pairwise([*first_hours, 24])):
        raise ValueError("bands begin at 0 and rise to at most 23")
    return first_hours


class SliceRule(Section):
    """Which groups of flights may veto a promotion, and when."""

    hour_bands: Annotated[list[int], AfterValidator(_whole_day)]
    named_carriers: list[str]
    storm_share: Share
    min_positives: int = Field(gt=0)
    min_days: int = Field(gt=1)
    veto_point: float = Field(ge=0, le=0.05)


class RefreshRule(Section):
    """What a refresh, the champion's recipe on newer days, has to show against the champion.

    In nats of log loss: its mean at most `max_point` worse, surely not worse than `max_high`, and
    no slice surely worse than `max_slice_low`. Of a champion that has learned from all days but the
    judged ones, these are at least `min_days`.
    """

    min_days: int = Field(gt=0)
    max_point: float = Field(ge=-0.05, le=0.05)
    max_high: float = Field(ge=0, le=0.05)
    max_slice_low: float = Field(ge=0, le=0.05)


class Behaviour(Section):
    """A model's behaviour on known cases, apart from its accuracy."""

    rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    tolerance: float = Field(ge=0, le=1e-3)
    raises: dict[str, float]
    lowers: dict[str, float]
    calm_morning: dict[str, float]
    calm_morning_max: Share
    stormy_evening: dict[str, float]
    stormy_evening_min: Share


class EvaluateConfig(StageConfig):
    """The gate: the window it judges on, its statistics, its slices, its behavioural tests."""

    stage = "evaluate"
    window: Window
    min_days: int = Field(gt=0)
    max_data_age_days: float = Field(gt=0)
    bootstrap: Bootstrap
    slices: SliceRule
    refresh: RefreshRule
    max_refit_distance: Share
    behaviour: Behaviour


class RegisterConfig(StageConfig):
    """The registry: its name for the model, and the servers or files behind it."""

    stage = "register"
    environment = {
        "tracking_url": "PIPELINE_TRACKING_URL",
        "artifacts_url": "PIPELINE_ARTIFACTS_URL",
    }
    model_name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    experiment: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    # What MLflow knows; it repeats an address that it does not know, with the password in it.
    tracking_url: Address[
        Annotated[
            str, Field(pattern=r"^(https?|(sqlite|postgresql|mysql|mssql)(\+[a-z0-9_]+)?)://")
        ]
    ]
    artifacts_url: Address[str]

    @property
    def database(self) -> Path | None:
        """The embedded store's file; None where a server keeps it."""
        scheme, _, path = self.tracking_url.get_secret_value().partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def artifacts(self) -> Path | None:
        """The folder of the artifacts; None where a server keeps them."""
        address = self.artifacts_url.get_secret_value()
        url = urlsplit(address)
        if url.scheme not in ("", "file"):
            return None
        return Path(unquote(url.path) if url.scheme else address)


class ReproduceConfig(StageConfig):
    """How far a rebuilt version may be from the recorded one and still be the same."""

    stage = "reproduce"
    prediction_tolerance: float = Field(gt=0, le=1e-2)
    figure_tolerance: float = Field(gt=0, le=1e-2)


class ServeConfig(StageConfig):
    """Where the online store and the log are, when a value is stale, what a server may be asked."""

    stage = "serve"
    environment = {"online_url": "PIPELINE_ONLINE_URL", "log_url": "PIPELINE_LOG_URL"}
    online_url: Address[Annotated[str, Field(pattern=r"^(sqlite:///|redis://|postgresql://).+")]]
    compute: Literal["duckdb", "spark"]
    max_lag_minutes: int = Field(gt=0)
    batch_horizon_minutes: int = Field(gt=0)
    port: int = Field(ge=1, le=65_535)
    log_url: Address[Annotated[str, Field(pattern=r"^(sqlite:///|postgresql://).+")]]
    log_queue: int = Field(ge=1, le=1_000_000)
    log_days: int = Field(ge=1, le=3_650)
    max_body_bytes: int = Field(ge=1_000, le=64_000_000)
    max_rows: int = Field(ge=1, le=100_000)
    timeout_ms: int = Field(ge=1, le=60_000)
    max_waiting: int = Field(ge=1, le=10_000)
    queue_ms: int = Field(ge=1, le=60_000)
    refusal_ms: int = Field(ge=0, le=10_000)
    max_connections: int = Field(ge=1, le=100_000)
    max_header_bytes: int = Field(ge=1_000, le=1_000_000)
    request_ms: int = Field(ge=10, le=600_000)
    idle_seconds: int = Field(ge=1, le=3_600)


Alpha = Annotated[float, Field(gt=0, lt=0.5)]


class PassMargin(Section):
    """How much log loss (nats) a challenger may surely not cost: a refresh, or a change."""

    refresh: float = Field(ge=0, le=0.05)
    change: float = Field(ge=0, le=0.05)


class ShadowPlan(Section):
    """On which days with labels a shadow is judged, and by what margins of log loss in nats."""

    looks: list[Annotated[int, Field(ge=3)]] = Field(min_length=1)
    rollback_margin: float = Field(ge=0, le=0.05)
    rollback_alpha: Alpha
    pass_margin: PassMargin
    pass_alpha: Alpha
    min_pairs: int = Field(gt=0)
    errors_alpha: Alpha

    @model_validator(mode="after")
    def _looks_rise(self) -> "ShadowPlan":
        if any(a >= b for a, b in pairwise(self.looks)):
            raise ValueError(f"looks {self.looks} do not rise")
        return self


class CanaryStep(Section):
    """A share of traffic in percent, held for days and for requests of each arm."""

    set_weight: int = Field(gt=0, le=50)
    days: float = Field(ge=0)
    min_requests: int = Field(gt=0)


class Guardrail(Section):
    """A rate that may not rise: its part of alpha, and how many times the control's it may be.

    Bad requests that begin within `stall_seconds` of one another share a cause, and are one event.
    """

    alpha: Alpha
    max_ratio: float = Field(ge=1, le=10)
    required: bool
    stall_seconds: float = Field(ge=0, le=60)


class Guardrails(Section):
    """Every rate that is compared between challenger and control."""

    errors: Guardrail
    slow: Guardrail
    missing: Guardrail
    stale: Guardrail
    fallback: Guardrail


class ScoreGuard(Section):
    """The mean risk, for a redeploy of the same model; requests are those of one arm."""

    alpha: Alpha
    sharpest_at: int = Field(gt=0)
    min_requests: int = Field(ge=30)


class SampleRatio(Section):
    """Whether the arms get equal parts; the prior's weight in requests."""

    alpha: Alpha
    concentration: float = Field(ge=1)


class Failing(Section):
    """So many failures among so many requests in a row."""

    failed: int = Field(gt=0)
    of: int = Field(gt=0)

    @model_validator(mode="after")
    def _can_happen(self) -> "Failing":
        if self.failed > self.of:
            raise ValueError(f"{self.failed} failures are more than {self.of} requests")
        return self


class InARow(Section):
    """So many bad requests of the challenger in a row, over so many seconds or longer.

    At most a share `control_bad` of what the control was asked meanwhile may be bad.
    """

    bad: int = Field(gt=1)
    seconds: float = Field(ge=0, le=3600)
    control_bad: float = Field(ge=0, lt=1)


class Resources(Section):
    """How much more of the machine a challenger's process may take than its control's.

    Memory in MB, log in kB, processor time in ms a request from `min_requests` on.
    """

    memory: int = Field(gt=0)
    files: int = Field(gt=0)
    threads: int = Field(gt=0)
    processor: int = Field(gt=0)
    min_requests: int = Field(ge=10)
    log: int = Field(gt=0)


class Breakers(Section):
    """What stops a canary at once, without a sample size."""

    failing: Failing
    in_a_row: InARow
    invalid_allowed: int = Field(ge=0)
    parity_tolerance: float = Field(gt=0, le=1e-3)
    parity_allowed: int = Field(ge=0)
    resources: Resources


class Unlogged(Section):
    """How many answers of an arm the servers' log may lack: so many, or a share of them."""

    fewest: int = Field(ge=0)
    share: float = Field(ge=0, lt=1)


class CanaryPlan(Section):
    """The steps of a canary, its guardrails and breakers, and when it ends without an answer."""

    steps: list[CanaryStep] = Field(min_length=1)
    fast_track: list[CanaryStep] = Field(min_length=1)
    max_days: float = Field(gt=0)
    look_every: int = Field(gt=0)
    total_alpha: Alpha
    guardrails: Guardrails
    score: ScoreGuard
    sample_ratio: SampleRatio
    breakers: Breakers
    unlogged: Unlogged
    max_run: int = Field(ge=30)
    slices: list[str]
    bake_days: float = Field(ge=0)
    cooldown_days: float = Field(ge=0)

    @property
    def alphas(self) -> dict[str, float]:
        """Every alarm's own chance on a challenger that is no different."""
        rates = {name: getattr(self.guardrails, name).alpha for name in Guardrails.model_fields}
        return {**rates, "score": self.score.alpha, "sample_ratio": self.sample_ratio.alpha}

    @model_validator(mode="after")
    def _spends_no_more_than_it_has(self) -> "CanaryPlan":
        spent = round(sum(self.alphas.values()), 12)
        if spent > self.total_alpha:
            raise ValueError(f"the alphas add up to {spent}, total_alpha is {self.total_alpha}")
        return self

    @model_validator(mode="after")
    def _steps_rise_and_fit(self) -> "CanaryPlan":
        for steps in (self.steps, self.fast_track):
            weights = [step.set_weight for step in steps]
            if any(a >= b for a, b in pairwise(weights)):
                raise ValueError(f"the steps' weights {weights} do not rise")
            if (days := sum(step.days for step in steps)) > self.max_days:
                raise ValueError(f"the steps take {days} days, max_days is {self.max_days}")
        return self


class RolloutConfig(StageConfig):
    """The plan of a rollout, made before it starts: a shadow, then a canary in steps."""

    stage = "rollout"
    shadow: ShadowPlan
    canary: CanaryPlan

    def on_fast_track(self) -> "RolloutConfig":
        """The plan of a refresh that is close to the champion: its own steps, all else alike."""
        steps = {"steps": self.canary.fast_track}
        return self.model_copy(update={"canary": self.canary.model_copy(update=steps)})


class Trailing(Section):
    """The windows that drift is looked for in, and how long it has to last."""

    window_days: int = Field(ge=7, le=92)
    min_days: int = Field(ge=1)
    every_days: int = Field(ge=1)
    persist_looks: int = Field(ge=1)
    block_days: int = Field(ge=1)
    draws: int = Field(ge=200)
    family_alpha: Alpha
    seed: int = Field(ge=0)


class OddRequests(Section):
    """How many rows callers may have asked for oddly: so many, or a share of them."""

    fewest: int = Field(ge=0)
    share: float = Field(ge=0, lt=1)

    def allowed(self, rows: int) -> int:
        """The number of them among so many rows."""
        return max(self.fewest, int(self.share * rows))


class TripwireLimits(Section):
    """What served rows may look like before anybody speaks of drift."""

    odd_requests: OddRequests

    max_missing_rise: Share
    max_unseen_share: Share
    min_share_of_reference_day: Share


class MembershipParameters(Section):
    """The size of the trees that tell two windows apart."""

    max_iter: int = Field(gt=0)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)


class Diagnosis(Section):
    """How a change of the loss is taken apart, and what is claimed of it."""

    membership: MembershipParameters
    max_rows: int = Field(ge=1_000)
    folds: int = Field(ge=2, le=10)
    draws: int = Field(ge=200)
    confidence: float = Field(gt=0.5, lt=1)
    seed: int = Field(ge=0)
    min_effective_share: Share
    min_separation: float = Field(ge=0.5, le=1)
    margin: float = Field(ge=0, le=0.1)
    gain_days: int = Field(ge=5)


class OutcomeRule(Section):
    """When labels are enough to judge by, what they must agree with, and when the outcome alerts.

    Losses are in nats. `min_agreement` is of labels with the departure-late flag, by carrier and
    week of at least `agreement_min_flights`; `min_balanced_agreement` is the mean of that among
    flights that left late and those that did not, with `agreement_min_each` of both.
    """

    window_days: int = Field(ge=2, le=92)
    min_days: int = Field(ge=2)
    min_coverage: float = Field(gt=0.5, le=1)
    max_excess_loss: float = Field(gt=0, le=1)
    max_gap: float = Field(gt=0, le=1)
    max_labels_age_hours: float = Field(gt=0)
    slice_alpha: Alpha
    agreement_min_flights: int = Field(ge=10)
    min_agreement: Share
    agreement_min_each: int = Field(ge=5)
    min_balanced_agreement: Share

    @model_validator(mode="after")
    def _window_holds_its_days(self) -> "OutcomeRule":
        if self.min_days > self.window_days:
            raise ValueError(f"min_days {self.min_days} is above window_days {self.window_days}")
        return self


class Burn(Section):
    """An error budget spent so many times too fast, over a long window and a short one."""

    rate: float = Field(gt=1)
    long_minutes: int = Field(gt=0)
    short_minutes: int = Field(gt=0)

    @model_validator(mode="after")
    def _looks_back_in_order(self) -> "Burn":
        if self.short_minutes >= self.long_minutes:
            raise ValueError(
                f"short_minutes {self.short_minutes} is not below long_minutes {self.long_minutes}"
            )
        return self


Hour = Annotated[int, Field(ge=0, le=24)]


class Objectives(Section):
    """Service-level objectives, and the limits that alerts have beside those of the model."""

    availability: float = Field(gt=0, lt=1)
    budget_days: int = Field(gt=0, le=90)
    fast: Burn
    slow: Burn
    min_failures: int = Field(gt=0)
    latency_ms: Literal[10, 25, 50, 100, 250, 500, 1000, 2500]
    latency_share: float = Field(gt=0, lt=1)
    silent_minutes: int = Field(gt=0)
    busy_hours: Annotated[tuple[Hour, Hour], AfterValidator(_in_order)]
    max_missing_share: Share
    max_stale_share: Share
    max_waiting_share: Share
    max_model_age_days: Positive
    max_job_age_hours: Positive

    @model_validator(mode="after")
    def _can_be_missed(self) -> "Objectives":
        """An alert on more failures than there are requests would never fire."""
        for name in ("fast", "slow"):
            if (share := getattr(self, name).rate * (1 - self.availability)) >= 1:
                raise ValueError(
                    f"{name}.rate asks for {share:.0%} failures, at most 100% of requests can fail"
                )
        return self


class MonitorConfig(StageConfig):
    """The window that is compared with the training window, what counts as drift, and the SLOs."""

    stage = "monitor"
    window: Window
    prediction_warn: float = Field(gt=0)
    prediction_alert: float = Field(gt=0)
    tripwire_warn: float = Field(gt=0)
    tripwire_alert: float = Field(gt=0)
    trailing: Trailing
    tripwires: TripwireLimits
    diagnosis: Diagnosis
    html: Literal["full", "none"]
    outcome: OutcomeRule
    slo: Objectives

    @model_validator(mode="after")
    def _warns_before_it_alerts(self) -> "MonitorConfig":
        for group in ("prediction", "tripwire"):
            warn, alert = getattr(self, f"{group}_warn"), getattr(self, f"{group}_alert")
            if warn > alert:
                raise ValueError(f"{group}_warn {warn} is above {group}_alert {alert}")
        return self


class Budget(Section):
    """At most so many trainings within so many days."""

    trainings: int = Field(ge=1)
    days: int = Field(ge=1)


class Policy(Section):
    """When to retrain, how often at most, and what forbids it; days are the replay's."""

    check_weekday: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ]
    outcome_alert: bool
    max_age_days: int | None = Field(ge=7)
    max_fresh_labels: int | None = Field(gt=0)
    cooldown_days: int = Field(ge=0)
    retry_days: int = Field(ge=1)
    min_fresh_labels: int = Field(ge=0)
    refreshed_days: int = Field(ge=14)
    budget: Budget


class Guards(Section):
    """What the rows to be learned from must be like, beside what the gate finds in the model."""

    recent_days: int = Field(ge=7)
    min_coverage: Share
    min_complete: Share
    min_flights_a_day: float = Field(gt=0)
    max_staleness_ratio: float = Field(ge=1)


class RetrainConfig(StageConfig):
    """How the training window follows the calendar, and when a model is trained anew."""

    stage = "retrain"
    first_training_day: Day
    window_days: int | None = Field(ge=28)
    holdout_days: int = Field(ge=7, le=62)
    online_share: Share
    policy: Policy
    guards: Guards


C = TypeVar("C", bound=StageConfig)


class _Loader(documents.Loader):
    """YAML without aliases: ten lines of them name a billion values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias, which no config needs", problem_mark=mark)
        return super().compose_node(parent, index)


def load(section: type[C]) -> C:
    """Read configs/<stage>.yaml into its section; some keys the environment may replace.

    Raises:
        ConfigError: the file is missing, is not YAML, holds a secret, or a key or value is wrong.
    """
    path = CONFIGS / f"{section.stage}.yaml"
    values = read_values(path)
    if isinstance(values, dict):
        names = section.environment.items()
        values |= {key: os.environ[name] for key, name in names if os.environ.get(name)}
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(path, error)) from None  # it holds every value


def load_all() -> None:
    """Read every config: a graph removes what it wrote before it runs a stage that then refuses.

    Raises:
        ConfigError: as `load` does.
    """
    for section in StageConfig.__subclasses__():
        load(section)


def read_values(path: Path) -> Any:
    """A config's values as they stand. What it holds is never shown: it may be a secret."""
    try:
        content = read_at_most(path, MAX_CONFIG_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; restore it with `git checkout {path}`") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no config: {error}; see `git diff {path}`") from error
    try:
        text = content.decode()
        values = yaml.load(text, _Loader)
        found = [*secrets.find(values), *_in_lines(text)]
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not YAML: {_problem(error)}; correct it (`git diff {path}`)"
        ) from None  # it quotes the file
    if found:
        raise ConfigError(
            f"{path} holds {found[0][1]} at {found[0][0]}, and is read by whoever reads the code; "
            "correct it, make the secret void, and name an address that needs one in the "
            f"environment: {', '.join(RegisterConfig.environment.values())}"
        )
    return values


def _in_lines(text: str) -> list[tuple[str, str]]:
    """What the values do not show, such as a comment."""
    lines = enumerate(text.splitlines(), 1)
    return [(f"line {number}", kind) for number, line in lines for kind in secrets.kinds(line)]


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return secrets.redact(f"{getattr(error, 'problem', None) or type(error).__name__}{where}")


def _explain(path: Path, error: ValidationError) -> str:
    lines = [
        f"  {'.'.join(map(str, item['loc'])) or '(file)'}: {item['msg']}, got {_cut(item['input'])}"
        for item in error.errors()
    ]
    told = f"{path} has {len(lines)} wrong key(s) or value(s); correct them (`git diff {path}`):"
    return "\n".join([told, *lines])


def _cut(value: Any) -> str:
    try:
        return repr(secrets.shown(value) if isinstance(value, str) else value)[:80]
    except ValueError as error:  # a number of so many digits that Python does not write it
        return f"a value that cannot be shown ({error})"[:80]


if __name__ == "__main__":
    try:
        load_all()
    except ConfigError as refusal:
        sys.exit(f"configs: ConfigError: {refusal}")
