"""The data rules of declared tables; their limits are in configs/validate.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.shared.config.sections import Range
from pipeline.shared.config.validate import ValidateConfig
from pipeline.shared.data_rules import calendar_rules, distribution_rules, in_range, one_of
from pipeline.shared.expectations import Rules, gxe, refuse
from pipeline.tabular import published
from pipeline.tabular.declaration import Declaration
from pipeline.tabular.leak import determined
from pipeline.tabular.limits import TableLimits

_SHARE, _LEAKS, _ROWS = "share_of_label", "columns_that_determine", "rows_there"


@dataclass(frozen=True)
class TableRules:
    """The rules of one declared table."""

    name: str
    of: Declaration

    def other_months(self, month: str, months: Mapping[str, pd.DataFrame], reference: Any) -> None:
        """Nothing: no rule compares single rows with other snapshots."""

    def add_measures(self, table: str, rows: pd.DataFrame, known: Any) -> pd.DataFrame:  # noqa: ARG002
        """Add the label, and how many columns determine it alone."""
        label = published.labels(rows, self.of)
        inputs = rows[[*self.of.numeric, *self.of.categories]]
        leaks = len(determined(inputs, label))
        return rows.assign(**{_SHARE: label}, **{_LEAKS: leaks, _ROWS: len(rows)})

    def rules(
        self, table: str, month: str, reference: pd.DataFrame | None, limits: ValidateConfig
    ) -> Rules:
        """Every rule for a snapshot whose schema holds."""
        assert isinstance(limits, TableLimits)
        zone = self.of.time.zone if self.of.time else "UTC"
        key, pooled = published.table(table, self.of).key, self.of.pooled
        compared = [] if reference is None else distribution_rules(reference, limits)
        return [
            gxe.ExpectCompoundColumnsToBeUnique(column_list=key, **refuse("unique-key")),
            *calendar_rules(month, published.INSTANT, limits.max_hours_to_month_end, zone),
            _mean(_ROWS, limits.rows, "volume"),
            *in_range(limits.ranges.items()),
            *(
                one_of(name, known)
                for name, known in self.of.categories.items()
                if name not in pooled
            ),
            _mean(_SHARE, limits.label_share, "label-share"),
            *(
                gxe.ExpectColumnValuesToNotBeNull(
                    column=name, mostly=1 - most, **refuse("missing-share")
                )
                for name, most in limits.max_missing_share.items()
            ),
            _mean(_LEAKS, (0, 0), "label-leak"),
            *compared,
        ]


def _mean(column: str, limit: Range, rule: str) -> gxe.ExpectColumnMeanToBeBetween:
    """The rule that a measure of the whole snapshot, or its mean, is within a limit."""
    low, high = limit
    return gxe.ExpectColumnMeanToBeBetween(
        column=column, min_value=low, max_value=high, **refuse(rule)
    )
