"""The naive baseline that is guessed: the one that loses least by the gate's own loss."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.adopt import naive
from pipeline.adopt.choices import Guesses
from pipeline.shared.scores import log_loss
from pipeline.tabular import leak, published
from pipeline.tabular.declaration import Declaration
from tests.adopt.tables import orders

ORDERS: dict[str, Any] = {
    "noun": "orders",
    "label": {"column": "returned", "positive": "1"},
    "numeric": ["customer_weeks", "items", "amount"],
    "categories": {"payment": ["card", "cash", "transfer"]},
}


def _chosen(rows: pd.DataFrame, **changes: object) -> tuple[naive.Naive, str]:
    guesses, of = Guesses(), Declaration.model_validate({**ORDERS, **changes})
    rows = rows.assign(returned=rows["returned"].astype("str"))
    return naive.choose(rows, of, guesses), guesses.listed["naive"][1]


def test_the_input_that_loses_least_alone_is_chosen_and_its_loss_is_said() -> None:
    rows = orders().astype({"amount": "float64"})
    chosen, why = _chosen(rows)
    assert chosen.column == "amount"
    assert len(chosen.edges) == 3
    codes = np.searchsorted(chosen.edges, rows["amount"], side="right")
    later = np.arange(len(rows)) >= int(2 / 3 * len(rows))
    shares = rows["returned"][~later].groupby(codes[~later]).mean()
    risk = shares.reindex(codes[later]).to_numpy()
    loss = log_loss(rows["returned"].to_numpy()[later], risk).mean()
    assert f"the least of 4 inputs' on the last third of the training rows, {loss:.4f}" in why


def test_a_noisy_number_of_few_values_is_not_chosen_for_an_unbalanced_label() -> None:
    rows = orders()
    by_purity = {n: leak.strength(rows[n], rows["returned"].to_numpy()) for n in ORDERS["numeric"]}
    assert max(by_purity, key=lambda name: by_purity[name]) == "customer_weeks"
    assert _chosen(rows, categories={})[0].column == "amount"


def test_a_category_of_many_values_without_a_meaning_does_not_win_by_their_number() -> None:
    rows, rng = orders(), np.random.default_rng(1)
    streets = [f"street {number}" for number in range(60)]
    rows["street"] = rng.choice(streets, len(rows))
    chosen, _ = _chosen(rows, categories={"street": streets})
    assert chosen.column == "amount"


def test_values_that_were_never_seen_before_have_the_share_of_all() -> None:
    rows = orders().assign(payment=np.where(np.arange(3_000) < 2_500, "cash", "card"))
    of = Declaration.model_validate({**ORDERS, "numeric": []})
    labelled = rows.assign(returned=rows["returned"].astype("str"))
    chosen = naive.choose(labelled, of, Guesses())
    assert chosen.column == "payment"
    assert set(published.naive_codes(labelled, of.model_copy(update={"naive": chosen}))) == {0, 1}
