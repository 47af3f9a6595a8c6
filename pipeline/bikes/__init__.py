"""The use case "bikes": hours busier than usual, to bring bikes to the docks. Hourly rentals, 2011.

`published` reads the table and says when each outcome became known, `rules` judges its months,
`WORDS` are its nouns, `usecase` states features and all else; `configs.yaml` has its configs.
"""

from pipeline.shared.nouns import Words

WORDS = Words(
    "hour", "hours", "an hour", "Busy hours", "2011-08-03/17", "busy", "not busy", group="hour"
)
