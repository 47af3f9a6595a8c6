"""The use case "flights", stated for the stages: will a flight be 15 or more minutes late?"""

from typing import Any

from pipeline.flights import events, features, names, published, slices, tables
from pipeline.flights.limits import FlightLimits
from pipeline.shared.domain import DataRules, Features, State, UseCase

_WEATHER = State(
    view="weather",
    keys=["origin"],
    columns=features.WEATHER,
    features=features.WEATHER,
    expires={"weather_known_at": features.WEATHER},
    setting="weather_hours",
    rows=lambda _, weather: events.weather_rows(weather),
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
    setting="aircraft_hours",
    rows=lambda flights, _: events.aircraft_rows(flights),
)


def _rules() -> DataRules:
    from pipeline.flights import rules  # its tool takes seconds to load

    return rules


def _name(row: Any) -> str:
    return f"{row['carrier']} {row['flight']} from {row['origin']}"


USECASE = UseCase(
    name="flights",
    noun="flights",
    zone=events.ZONE,
    events=tables.FLIGHTS,
    context=tables.WEATHER,
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
    name_of=_name,
    names_of=names.flight_names,
    slices=slices.slices,
    identifiers=["flight", "tailnum"],
)
