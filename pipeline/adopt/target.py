"""The label of a table: said, read in the given code, or the one column that it can be."""

from typing import Any

from pipeline.adopt.choices import Choices, Guesses
from pipeline.adopt.columns import Column
from pipeline.adopt.table_file import SourceTable
from pipeline.shared.errors import AdoptionRefused
from pipeline.tabular.declaration import identifier

_USUAL = "label target y class outcome default churn churned survived response result".split()
_TRUE = ("1", "1.0", "yes", "true", "y", "t", "positive")


def choose_label(
    given: SourceTable,
    found: dict[str, Column],
    said: Choices,
    target: str | None,
    guesses: Guesses,
) -> dict[str, Any]:
    """The label as a table's declaration states it.

    Raises:
        AdoptionRefused: nobody can guess it, or it is constant, has gaps or more than two classes.
    """
    name = _name(given, found, said, target, guesses)
    one = found[name]
    if missing := int(one.texts.isna().sum()):
        words = [n for n in given.notes if n.startswith(f"column {given.published[name]}:")]
        noted = f" ({words[0]})" if words else ""
        raise AdoptionRefused(
            f"label {name} is missing in {missing:,} of {len(one.texts):,} rows, 0 may be: remove "
            f"rows whose outcome nobody knows{noted}, or name another `label` in adopt.yaml"
        )
    if one.distinct < 2:
        raise AdoptionRefused(
            f"label {name} is {one.texts.iloc[0]!r} in all {len(one.texts):,} rows, 2 values are "
            "needed: name another, `label: column` in adopt.yaml"
        )
    if said.above is not None:
        return _above(one, said.above)
    positive = _positive(one, said, guesses)
    return {"column": name, "positive": positive}


def _name(
    given: SourceTable,
    found: dict[str, Column],
    said: Choices,
    target: str | None,
    guesses: Guesses,
) -> str:
    for name, origin in ((said.label, "adopt.yaml"), (target, "the given code")):
        if name is None:
            continue
        if identifier(name) not in found:
            raise AdoptionRefused(
                f"{origin} names the label {name!r}, {given.path.name} has {len(found)} other "
                f"columns: {', '.join(found)}; `label: column` in adopt.yaml"
            )
        if origin != "adopt.yaml":
            guesses.add("label", identifier(name), "the given code predicts it")
        return identifier(name)
    usual = [name for name in map(identifier, _USUAL) if name in found]
    binary = [name for name, one in found.items() if one.distinct == 2]
    candidates = usual[:1] or (binary if len(binary) == 1 else [])
    if not candidates:
        raise AdoptionRefused(
            f"the label is missing: {len(binary)} of {len(found)} columns have two values"
            f"{' (' + ', '.join(binary[:8]) + ')' if binary else ''}, 1 must be named: write "
            f"`label: column` into {given.path.parent / 'adopt.yaml'}"
        )
    why = "its name is a label's" if usual else "the only column with two values"
    guesses.add("label", candidates[0], why)
    return candidates[0]


def _positive(one: Column, said: Choices, guesses: Guesses) -> str:
    values = one.values()
    if said.positive is not None:
        text = str(said.positive)  # YAML reads yes as true
        wanted = {text.lower(), *(_TRUE if said.positive is True else ())}
        matches = [v for v in values if v == text] or [v for v in values if v.lower() in wanted]
        if not matches:
            raise AdoptionRefused(
                f"label {one.name} is never {text!r}: its {one.distinct:,} values are "
                f"{', '.join(values[:8])}; correct `positive` in adopt.yaml"
            )
        return matches[0]
    if one.distinct > 2:
        raise AdoptionRefused(
            f"label {one.name} has {one.distinct:,} values, 2 are predicted: {_how(one)}; "
            "both are keys of `adopt.yaml`"
        )
    known = [value for value in values if value.lower() in _TRUE]
    positive = known[0] if len(known) == 1 else values[-1]
    guesses.add("positive", positive, "it says yes" if known else "the rarer of two values")
    return positive


def _how(one: Column) -> str:
    if one.numbers is not None and one.distinct > 10:
        return f"it is a number, so choose what is much, `above: {one.numbers.median():g}`"
    return f"choose which of them is to be foreseen, `positive: {one.values()[-1]}`"


def _above(one: Column, limit: float) -> dict[str, Any]:
    if one.numbers is None:
        raise AdoptionRefused(
            f"label {one.name} is no number in {one.texts.nunique():,} of its values, `above: "
            f"{limit:g}` needs one: use `positive: value` in adopt.yaml"
        )
    share = float((one.numbers > limit).mean())
    if not 0 < share < 1:
        raise AdoptionRefused(
            f"label {one.name} is above {limit:g} in {share:.0%} of {len(one.texts):,} rows, "
            f"both must occur: `above: {one.numbers.median():g}` in adopt.yaml"
        )
    return {"column": one.name, "above": limit}
