"""The words of rentals by the hour."""

from pipeline.shared.nouns import Words

WORDS = Words(
    "hour", "hours", "an hour", "Busy hours", "2011-08-03/17", "busy", "not busy", group="hour"
)
