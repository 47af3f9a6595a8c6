"""Judge snapshots by their rules: the outcome of each rule, and the months refused.

The rules on the schema come first, for all others presuppose them; the use case has those others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.shared.config.validate import ValidateConfig
from pipeline.shared.expectations import RuleResult, Rules, gxe, plain, refuse, run_rules
from pipeline.usecase.chosen import USECASE


@dataclass(frozen=True)
class Judgement:
    """All outcomes for one snapshot; `reference` are the months that it was compared with.

    `measured_rows` are the rows with the columns that the rules need.
    """

    table: str
    month: str
    rows: pd.DataFrame
    measured_rows: pd.DataFrame
    reference: list[str]
    outcomes: list[RuleResult]

    @property
    def refusals(self) -> list[RuleResult]:
        """The failed rules that refuse the month."""
        return [o for o in self.outcomes if not o.passed and o.action == "refuse"]

    @property
    def quarantines(self) -> list[RuleResult]:
        """The failed rules that quarantine rows."""
        return [o for o in self.outcomes if not o.passed and o.action == "quarantine"]

    @property
    def quarantined_rows(self) -> list[int]:
        """The positions of the quarantined rows, each once."""
        return sorted({position for o in self.quarantines for position in o.positions})

    @property
    def accepted_rows(self) -> pd.DataFrame:
        """The rows that no rule quarantined."""
        return self.rows.drop(index=self.quarantined_rows).reset_index(drop=True)


def schema_rules(table: str, present: Iterable[str]) -> Rules:
    """The schema rules, which all others presuppose: columns, their order, types and nulls."""
    types, known = USECASE.tables[table].types, set(present)
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(types), **refuse("columns")),
        *(
            gxe.ExpectColumnTypeToBe(column=column, type_=kind, **refuse("type"))
            for column, kind in types.items()
            if column in known
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=column, **refuse("never-null"))
            for column in USECASE.tables[table].never_null
            if column in known
        ),
    ]


def judge(
    context: Any,
    table: str,
    month: str,
    rows: pd.DataFrame,
    reference: dict[str, pd.DataFrame],
    limits: ValidateConfig,
    known: Any = None,
) -> Judgement:
    """Judge one snapshot by its rules; if the schema fails, the others are not run.

    `known` is what the rules compare with of other months; None if there are none.
    """
    suites = USECASE.rules()
    name, schema = f"{table} {month}", schema_rules(table, rows.columns)
    found = run_rules(context, f"{name} schema", rows, schema)
    if not all(outcome.passed for outcome in found):
        return Judgement(table, month, rows, rows, [], found)
    compared = pd.concat(reference.values()) if reference else None
    measured = suites.add_measures(table, rows, known)
    rules = [
        rule
        for rule in suites.rules(table, month, compared, limits)
        # Measures that need other months are missing without any.
        if getattr(rule, "column", "year") in measured
    ]
    found += run_rules(context, f"{name} values", measured, rules)
    judgement = Judgement(table, month, rows, measured, sorted(reference), found)
    found.append(_quarantined_share(judgement, limits.max_quarantined_share))
    found.append(_quarantined_share_of_day(judgement, limits.max_quarantined_share_of_day))
    return judgement


def _share_outcome(rule: str, share: float, positions: list[int], limit: float) -> RuleResult:
    return RuleResult(
        rule=rule,
        columns=[],
        action="refuse",
        passed=share <= limit,
        unexpected=len(positions),
        observed=plain(share),
        limit={"max_value": limit},
        positions=positions,
    )


def _quarantined_share(judgement: Judgement, limit: float) -> RuleResult:
    aside = judgement.quarantined_rows
    share = len(aside) / max(len(judgement.rows), 1)
    return _share_outcome("quarantined-share", share, aside, limit)


def _quarantined_share_of_day(judgement: Judgement, limit: float) -> RuleResult:
    """The largest share that a day lost; `positions` are the rows of that day."""
    day, aside = judgement.rows["day"], pd.Series(0.0, index=judgement.rows.index)
    aside.iloc[judgement.quarantined_rows] = 1.0
    shares = aside.groupby(day).mean()
    worst = shares.idxmax() if len(shares) else 0
    lost = [p for p in judgement.quarantined_rows if day.iloc[p] == worst]
    share = float(shares.max()) if len(shares) else 0.0
    return _share_outcome("quarantined-share-of-day", share, lost, limit)


def fits_schema(table: str, rows: pd.DataFrame) -> bool:
    """Whether a snapshot has the columns and types to serve as a reference."""
    types = {str(name): str(kind) for name, kind in rows.dtypes.items()}
    return types == USECASE.tables[table].types


def judge_all(
    context: Any, snapshots: dict[tuple[str, str], pd.DataFrame], limits: ValidateConfig
) -> list[Judgement]:
    """Judge every snapshot against the reference months of its table other than itself."""
    judgements = []
    suites = USECASE.rules()
    sound: dict[str, dict[str, pd.DataFrame]] = {name: {} for name in USECASE.tables}
    for (table, month), rows in snapshots.items():
        if USECASE.tables[table].compared and fits_schema(table, rows):
            sound[table][month] = rows
    for (table, month), rows in snapshots.items():
        months = sound[table]
        reference = {
            other: months[other] for other in limits.reference if other != month and other in months
        }
        known = suites.other_months(month, months, limits.reference)
        judgements.append(judge(context, table, month, rows, reference, limits, known))
    return judgements
