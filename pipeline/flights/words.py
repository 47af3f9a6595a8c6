"""The words of flights, for messages, pages and keys."""

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
