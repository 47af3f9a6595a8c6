"""The limits of the flights' data rules: configs/validate.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.shared.config.sections import Positive, Range, Section, Share
from pipeline.shared.config.validate import ValidateConfig

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
    """Limits of the consistency measures of rows and days, which pipeline/flights computes."""

    flight_rows: dict[FlightGap, Range]
    flight_days: dict[FlightShare, Range]
    weather_rows: dict[WeatherGap, Range]
    weather_days: dict[WeatherShare, Range]


class HoursToMonthEnd(Section):
    """The maximum time from a table's last row to the month's end."""

    flights: Positive
    weather: Positive


class FlightLimits(ValidateConfig):
    """The limits in the rules that a month of flights and weather must pass."""

    flights_a_day: Range
    weather_hours_a_day: Range
    max_hours_to_month_end: HoursToMonthEnd
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
