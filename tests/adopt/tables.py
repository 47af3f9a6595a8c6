"""Small tables to adopt, and the folder that each is given in."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml


def loans(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Loans with a label that income and a category say something of."""
    rng = np.random.default_rng(seed)
    income, kind = rng.normal(50, 12, rows).round(1), rng.choice(["car", "house", "other"], rows)
    risk = 1 / (1 + np.exp((income - 45) / 8 - (kind == "car")))
    return pd.DataFrame(
        {
            "loan_id": [f"L{number}" for number in range(rows)],
            "Income (k)": income,
            "kind": kind,
            "branch": rng.choice(["north", "south"], rows),
            "default": np.where(rng.uniform(size=rows) < risk, "yes", "no"),
        }
    )


def visits(days: int = 120, a_day: int = 8, seed: int = 0) -> pd.DataFrame:
    """Events with an instant, in no order, of shops that differ."""
    rng = np.random.default_rng(seed)
    number = days * a_day
    at = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.uniform(0, days * 24, number), unit="h")
    shop = rng.choice(["a", "b", "c"], number)
    return pd.DataFrame(
        {
            "at": pd.Series(at).dt.strftime("%Y-%m-%d %H:%M"),
            "shop": shop,
            "basket": rng.gamma(2, 10, number).round(2),
            "returned": (rng.uniform(size=number) < np.where(shop == "a", 0.5, 0.2)).astype(int),
        }
    )


def orders(rows: int = 3_000, seed: int = 0) -> pd.DataFrame:
    """Orders of half a year at all hours; the rare label depends on amount and payment together.

    `customer_weeks` and `items` are noise: whole numbers, some of which mostly returned by chance.
    """
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.uniform(0, 180 * 24, rows))
    amount, payment = (
        rng.gamma(2, 40, rows).round(2),
        rng.choice(["card", "cash", "transfer"], rows),
    )
    risk = np.where((amount > 70) ^ (payment == "cash"), 0.36, 0.036)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h")
    return pd.DataFrame(
        {
            "order_id": np.arange(1, rows + 1),
            "ordered_at": pd.Series(at).dt.strftime("%Y-%m-%d %H:%M"),
            "amount": amount,
            "payment": payment,
            "customer_weeks": rng.integers(1, 400, rows),
            "items": rng.integers(1, 6, rows),
            "returned": (rng.uniform(size=rows) < risk).astype(int),
        }
    )


def give(folder: Path, table: pd.DataFrame, **said: object) -> Path:
    """A folder with a table as CSV, and `adopt.yaml` with what is said."""
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "table.csv", index=False)
    if said:
        (folder / "adopt.yaml").write_text(yaml.safe_dump(said))
    return folder
