"""The use case "flights", stated for the stages: will a flight be 15 or more minutes late?"""

from typing import Any

from pipeline.flights import (
    WORDS,
    events,
    features,
    history,
    names,
    published,
    request,
    slices,
    tables,
)
from pipeline.flights.limits import FlightLimits
from pipeline.shared.domain import (
    DataRules,
    Features,
    Monitored,
    Pushed,
    Request,
    State,
    UseCase,
)
from pipeline.shared.replay_plan import Story

_WEATHER = State(
    view="weather",
    keys=["origin"],
    columns=features.WEATHER,
    features=features.WEATHER,
    expires={"weather_known_at": features.WEATHER},
    rows=lambda _, weather: events.weather_rows(weather),
    pushed=Pushed(
        raw=lambda _, weather: events.observations(weather),
        fold=events.weather_rows,
        lookback=events.LOOKBACK_MINUTES,
    ),
)
_AIRCRAFT = State(
    view="aircraft",
    keys=["tailnum"],
    columns=[*features.DEPARTURE, "ready", *features.LANDING, "landed_at"],
    features=features.AIRCRAFT,
    expires={
        "aircraft_known_at": [*features.DEPARTURE, "ready"],
        "landed_at": features.LANDING,
    },
    rows=lambda flights, _: events.aircraft_rows(flights),
    pushed=Pushed(
        raw=lambda flights, _: events.available_events(flights),
        fold=events.fold_events,
        stored=True,
    ),
    behind=history.aircraft_history,
)


def _rules() -> DataRules:
    from pipeline.flights import rules  # its tool takes seconds to load

    return rules


def _name(row: Any) -> str:
    return f"{row['carrier']} {row['flight']} from {row['origin']}"


USECASE = UseCase(
    name="flights",
    words=WORDS,
    card="flights/flight_card.md",
    question="The risk, two hours before departure, that a flight arrives 15 or more minutes "
    "late, or not at all.",
    zone=events.ZONE,
    begins="2013-01-01",
    ends="2014-01-01",
    events=tables.FLIGHTS,
    context=tables.WEATHER_TABLE,
    read_source=published.read_source,
    limits=FlightLimits,
    rules=_rules,
    features=Features(
        service="flight_delay",
        label=features.LABEL,
        proxy=features.PROXY,
        values=[features.PROXY, features.LABEL, "dep_delay", "arr_delay"],
        entities=features.ENTITIES,
        rolling=features.ROLLING,
        states=[_WEATHER, _AIRCRAFT],
        request=features.REQUEST,
        schedule=features.SCHEDULE,
        numeric=features.NUMERIC,
        one_hot=features.ONE_HOT,
        always_there={"system", "origin", "carrier", "hour", "weather"},
        monotone=features.MONOTONE,
        ranges=features.RANGES,
        whole_numbers={"sched_hour"},
        outcomes=events.outcomes,
        requests=events.requests,
        derive=features.derive,
    ),
    request=Request(
        item=request.Flight,
        body=request.PredictRequest,
        name_of=request.flight_id,
        rows=request.request_rows,
        columns={"scheduled_departure": "sched_dep_utc"},
    ),
    monitored=Monitored(
        schedule=["carrier", "origin", "dest", "tailnum", "sched_dep_utc", "sched_hour"],
        categories=["origin", "carrier"],
        groups={"aircraft": features.AIRCRAFT, "weather": features.WEATHER},
        alarming=["static", "aircraft"],
        unseen=["carrier", "origin", "dest"],
        known={"origin": features.ORIGINS, "carrier": features.CARRIERS},
        steady=features.WEATHER[:3],
        required=["sched_dep_utc", "block_minutes", "system_dep_late_3h", "aircraft_airborne"],
        name_pattern=names.PATTERN,
        from_names=names.from_names,
        for_slices=lambda rows: {"aircraft_known_at": rows["aircraft_airborne"]},
        deadline=events.deadline,
        earliest=history.landing,
        label_group=names.carriers,
    ),
    name_of=_name,
    names_of=names.flight_names,
    slices=slices.slices,
    slice_rule=slices.FlightSlices,
    identifiers=["flight", "tailnum"],
    unfinished="flights not yet landed",
    story=Story(
        until=("2013-06-30", "2013-07-15"),
        max_age_days=92,
        bad_month="2013-07",
        fault="a month in kilometres",
        file=published.FLIGHTS_FILE,
        month=("month", "7"),
        column="distance",
        spoil=lambda miles: str(round(float(miles) * 1.609344)),
        evening=("sched_minute", 17 * 60),
    ),
)
