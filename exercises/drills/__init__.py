"""The drills by what they break; `OF_FLIGHTS` names those that only the first use case has."""

_TABLES = (
    "shifted-sky repeated-hour shifted-origin celsius-for-a-day sky-of-yesterday rotated-carriers "
    "shuffled-destinations dealt-delays outcomes-of-yesterday missing-mornings lost-arrivals "
    "seconds-in-the-air wind wind-let-through duplicated-month"
)
_REQUESTS = (
    "repeated-id hung-up half-sent giant-header gzip-bomb overload hostile-users reversed-batch "
    "unlogged one-complaint callers-address"
)
_LABELS = (
    "flipped-labels labels-twice shuffled-labels stopped-labels contradicting-labels log-percent "
    "lost-view drift-without-loss log-lagging late-relation"
)
_DAYS = (
    "slice own-month forged-verdict poisoned-labels lost-mornings old-features refit-apart "
    "labels-stop rewritten-journal swallowed-gate month-twice zero-for-missing biased "
    "lost-requests burning-budget dead-exporter"
)
OF_FLIGHTS = frozenset(" ".join((_TABLES, _REQUESTS, _LABELS, _DAYS)).split())
"""Drills that change columns of the flights' tables, send a flight's request, name a carrier's
labels, or need the flights' days, rows or limits. All others run unchanged on any use case."""
