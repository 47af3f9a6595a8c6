"""Data validation, the only module that imports Great Expectations: rows and rules to results."""

import logging
import shutil
import sys
import tempfile
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

# Great Expectations imports jsonschema, which would compile a grammar of IRIs for a second because
# an audit tool installs one; no IRI is read here. See docs/adr/0016.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
import great_expectations as gx  # noqa: E402
import great_expectations.expectations as gxe  # noqa: E402
from great_expectations.expectations.expectation import Expectation  # noqa: E402
from great_expectations.expectations.row_conditions import Column  # noqa: E402

__all__ = ["Column", "gxe"]

Value = float | str | None


@dataclass(frozen=True)
class RuleResult:
    """The result of one rule on one snapshot; `positions` are the rows that break it, if any."""

    rule: str
    columns: list[str]
    action: Literal["refuse", "quarantine"]
    passed: bool
    unexpected: int
    observed: Value
    limit: dict[str, Value]
    positions: list[int]


Rules = list[Expectation]


def refuse(rule: str) -> dict[str, Any]:
    """Mark a rule whose failure refuses the whole month."""
    return {"severity": "critical", "meta": {"rule": rule}}


def quarantine(rule: str) -> dict[str, Any]:
    """Mark a rule whose failure quarantines the offending rows."""
    return {"severity": "warning", "meta": {"rule": rule}}


def new_context() -> Any:
    """A silent Great Expectations context in memory."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    context.data_sources.add_pandas("snapshots")
    return context


def run_rules(context: Any, name: str, rows: pd.DataFrame, rules: Rules) -> list[RuleResult]:
    """The result of each rule; failed rules run again to list the rows that break them."""
    results = _results(context, name, rows, rules, "BASIC")
    broken = {result.expectation_config.id for result in results if not result.success}
    again = [copy(rule) for rule in rules if rule.id in broken]
    passed = [result for result in results if result.success]
    failed = _results(context, f"{name} broken", rows, again, "COMPLETE") if again else []
    return [_rule_result(result) for result in [*passed, *failed]]


def _results(context: Any, name: str, rows: pd.DataFrame, rules: Rules, detail: str) -> list[Any]:
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=rules))
    asset = context.data_sources.get("snapshots").add_dataframe_asset(name)
    definition = gx.ValidationDefinition(
        name=name, data=asset.add_batch_definition_whole_dataframe("month"), suite=suite
    )
    validation = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": rows},
        # The query text that would find all offending rows again can be megabytes.
        result_format={"result_format": detail, "return_unexpected_index_query": False},
    )
    return list(validation.results)


def _rule_result(result: Any) -> RuleResult:
    config, found = result.expectation_config, result.result
    if "observed_value" not in found and "unexpected_count" not in found:
        raise RuntimeError(f"{config.type} on {config.kwargs} did not run: {result.exception_info}")
    kwargs = config.kwargs
    unexpected = int(found.get("unexpected_count") or 0)
    return RuleResult(
        rule=config.meta["rule"],
        columns=[] if config.type.startswith("expect_table") else _columns(kwargs),
        action="refuse" if config.severity == "critical" else "quarantine",
        passed=bool(result.success),
        unexpected=unexpected,
        observed=_observed_value(found, kwargs) if "observed_value" in found else unexpected,
        limit={k: plain(kwargs[k]) for k in _LIMITS if kwargs.get(k) is not None},
        positions=[int(position) for position in found.get("unexpected_index_list") or []],
    )


_LIMITS = ("min_value", "max_value", "mostly", "threshold", "type_")


def _columns(kwargs: dict[str, Any]) -> list[str]:
    pair = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return pair or list(kwargs["column_list"])


def _observed_value(found: dict[str, Any], kwargs: dict[str, Any]) -> Value:
    if "partial_missing_list" in found:
        return _difference(found["partial_missing_list"], found["partial_unexpected_list"])
    observed = found["observed_value"]
    if not isinstance(observed, list):
        return plain(observed)
    expected = kwargs["column_list"]
    missing = [name for name in expected if name not in observed]
    unknown = [name for name in observed if name not in expected]
    reordered = not missing and not unknown and observed != expected
    return "the same in another order" if reordered else _difference(missing, unknown)


def _difference(missing: list[Any], unknown: list[Any]) -> str:
    return f"missing {missing or 'none'}, unknown {unknown or 'none'}"


def plain(value: Any) -> Value:
    """A value for JSON, with six digits, since the last bits differ between processors."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float, np.number)):
        return float(f"{value:.6g}")
    return pd.Timestamp(value).isoformat()


def write_docs(context: Any, folder: Path) -> None:
    """Write Great Expectations' data docs; they hold run times, so no digest covers them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(".docs.*"):
        shutil.rmtree(left)  # of a killed run
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".docs.") as temporary:
        built = Path(temporary) / "docs"
        context.add_data_docs_site(
            "docs",
            {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(built.absolute()),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                # A result's page shows its rules as well; a page a suite would only repeat them.
                "site_section_builders": {"expectations": "None"},
            },
        )
        context.build_data_docs(site_names=["docs"])
        shutil.rmtree(folder, ignore_errors=True)
        built.rename(folder)
