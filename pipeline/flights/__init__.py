"""The use case "flights": everything that knows what a flight is; `usecase` states it as a whole.

`published` reads the published tables, `tables` declares them, `rules` judges their months with
`flight_consistency`, `weather_consistency` and the limits of `limits`. `events` has the outcomes
with the instants at which they became known, `features` the features by name, `names` the names of
flights, `request` what a caller sends, `slices` the critical slices, `history` the raw events
behind a feature, `words` the nouns of messages and pages.
"""
