"""The use case "flights": everything that knows what a flight is; `usecase` states it as a whole.

`published` reads the published tables, `tables` declares them, `rules` judges their months with
`flight_consistency`, `weather_consistency` and the limits of `limits`. `events` has the outcomes
with the instants at which they became known, `features` the features by name, `names` the names of
flights, `request` what a caller sends, `slices` the critical slices, `history` the raw events
behind a feature, `WORDS` the nouns of messages and pages.
"""

from pipeline.shared.nouns import Words

WORDS = Words(
    event="flight",
    events="flights",
    one="a flight",
    title="Flight delay",
    example="2013-04-18/UA/1545/EWR",
    positive="late",
    negative="on-time",
    named_by="a New York date, carrier, number and origin",
    proxy="departure-late",
    group="carrier",
    codes="flight and tail codes",
    matures="when it is to land",
    longest=22,
)
