"""The outputs of validation: the report, the quarantine table, and the refusal's message."""

from typing import Any

import pandas as pd

from pipeline.shared.contracts import VALIDATE
from pipeline.shared.expectations import RuleResult
from pipeline.usecase.chosen import USECASE
from pipeline.validate.judge import Judgement

QUARANTINE = VALIDATE / "quarantine.parquet"
QUARANTINE_COLUMNS = ["table", "month", "key", "rule", "columns", "value"]
_FULL_LINES = 5
_LIMIT_WORDS = {
    "min_value": "at least",
    "max_value": "at most",
    "mostly": "a share of at least",
    "threshold": "below",
}


def report(judgements: list[Judgement]) -> dict[str, Any]:
    """Every rule on every snapshot with its figure and its limit; no identifier, no clock."""
    return {
        "verdict": "refused" if any(j.refusals for j in judgements) else "accepted",
        "snapshots": [
            {
                "table": judgement.table,
                "month": judgement.month,
                "verdict": "refused" if judgement.refusals else "accepted",
                "rows": len(judgement.rows),
                "quarantined": len(judgement.quarantined_rows),
                "reference": judgement.reference,
                "rules": [_entry(outcome) for outcome in judgement.outcomes],
            }
            for judgement in judgements
        ],
    }


def _entry(outcome: RuleResult) -> dict[str, Any]:
    """An outcome without the positions of rows, of which the quarantine table has the values."""
    return {name: value for name, value in vars(outcome).items() if name != "positions"}


def quarantined_rows(judgements: list[Judgement]) -> pd.DataFrame:
    """One row, as text, for each rule that a quarantined row of any table breaks."""
    lines = [
        (
            judgement.table,
            judgement.month,
            _values(judgement, position, USECASE.tables[judgement.table].key),
            outcome.rule,
            ", ".join(outcome.columns),
            _values(judgement, position, outcome.columns),
        )
        for judgement in judgements
        for outcome in judgement.quarantines
        for position in outcome.positions
    ]
    return pd.DataFrame(lines, columns=QUARANTINE_COLUMNS, dtype="string")


def _values(judgement: Judgement, position: int, columns: list[str]) -> str:
    row = judgement.measured_rows.iloc[[position]]
    return " ".join(f"{column}={_text(row[column].iloc[0])}" for column in columns)


def _text(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def refusal(judgements: list[Judgement]) -> str:
    """The refusal's message: each broken rule with its numbers and an example row."""
    broken = [(judgement, outcome) for judgement in judgements for outcome in judgement.refusals]
    refused = sorted({judgement.month for judgement, _ in broken})
    lines = [f"  {_line(judgement, outcome)}" for judgement, outcome in broken[:_FULL_LINES]]
    if len(broken) > _FULL_LINES:
        rest = dict.fromkeys(f"{j.month} {j.table} {o.rule}" for j, o in broken[_FULL_LINES:])
        lines.append(f"  and {len(broken) - _FULL_LINES} more: {', '.join(rest)}")
    return "\n".join(
        [
            f"{len(refused)} of {len({j.month for j in judgements})} month(s) refused "
            f"({', '.join(refused)}); {len(broken)} broken rule(s), nothing was accepted:",
            *lines,
            f"see {VALIDATE}/report.json or {VALIDATE}/docs/index.html; correct the data at their "
            "source, or the limit in configs/validate.yaml after a look, then run `make validate`",
        ]
    )


def _line(judgement: Judgement, outcome: RuleResult) -> str:
    allowed = ", ".join(
        f"{_LIMIT_WORDS[key]} {value:,g}" if isinstance(value, float) else f"{value}"
        for key, value in outcome.limit.items()
    )
    found = f"found {outcome.observed}" + (f", allowed {allowed}" if allowed else "")
    if outcome.positions:
        position = outcome.positions[0]
        key = _values(judgement, position, USECASE.tables[judgement.table].key)
        found = f"{outcome.unexpected:,} of {len(judgement.rows):,} rows, first {key}"
        if set(outcome.columns) - set(USECASE.tables[judgement.table].key):
            found += f" with {_values(judgement, position, outcome.columns)}"
        found += f", allowed {allowed}" if allowed else ""
    where = f" on {', '.join(outcome.columns)}" if outcome.columns else ""
    return f"{judgement.month} {judgement.table}: rule {outcome.rule}{where}: {found}"


def metrics(judgements: list[Judgement]) -> dict[str, int]:
    """The counts of snapshots, checks, and accepted and quarantined rows."""
    accepted = {
        table: sum(len(j.rows) - len(j.quarantined_rows) for j in judgements if j.table == table)
        for table in USECASE.tables
    }
    return {
        **accepted,
        "snapshots": len(judgements),
        "checks": sum(len(j.outcomes) for j in judgements),
        "quarantined": sum(len(j.quarantined_rows) for j in judgements),
    }


def summary(judgements: list[Judgement]) -> str:
    """The stage's summary line: the counts of accepted and quarantined rows."""
    found = metrics(judgements)
    rows = " and ".join(f"{found[name]:,} {table.noun}" for name, table in USECASE.tables.items())
    return (
        f"{found['snapshots']} snapshots pass {found['checks']:,} checks; {rows} accepted, "
        f"{found['quarantined']:,} row(s) set aside -> {QUARANTINE}"
    )
