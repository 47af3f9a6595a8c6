"""Files that are no table, or one in an unusual form: read, or refused by name."""

import io
from pathlib import Path

import pandas as pd
import pytest

from pipeline.adopt import guess, table_file
from pipeline.adopt.choices import Choices
from pipeline.shared.errors import AdoptionRefused
from tests.adopt.tables import give, loans

CSV = loans().to_csv(index=False).encode()


def _give(folder: Path, content: bytes, name: str = "table.csv") -> Path:
    (folder / name).write_bytes(content)
    return folder


def _parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "note"),
    [
        (b"\xef\xbb\xbf" + CSV, "table.csv", "byte-order mark"),
        (CSV.replace(b",", b";"), "table.csv", "';'"),
        (CSV.replace(b",", b"\t"), "TABLE.CSV", "'\\t'"),
        (CSV.replace(b"\n", b"\r\n"), "table.csv", ""),
        (_parquet(loans()), "table.parquet", "Parquet"),
    ],
)
def test_a_table_in_another_form_is_the_same_table(
    tmp_path: Path, content: bytes, name: str, note: str
) -> None:
    plain = tmp_path / "plain"
    given = table_file.read(_give(tmp_path, content, name))
    pd.testing.assert_frame_equal(given.rows, table_file.read(give(plain, loans())).rows)
    assert note in " ".join(given.notes)


def test_two_tables_and_no_folder_are_refused(tmp_path: Path) -> None:
    _give(_give(tmp_path, CSV), CSV, "more.csv")
    with pytest.raises(AdoptionRefused, match=r"2 tables \(more.csv, table.csv\), 1 is needed"):
        table_file.read(tmp_path)
    with pytest.raises(AdoptionRefused, match="is no folder"):
        table_file.read(tmp_path / "nowhere")


def test_a_table_may_be_named_itself(tmp_path: Path) -> None:
    _give(_give(tmp_path, CSV), CSV, "more.csv")
    assert table_file.read(tmp_path / "more.csv").path.name == "more.csv"


@pytest.mark.parametrize("value", [None, "same"])
def test_a_column_that_says_nothing_is_left_out_and_listed(
    tmp_path: Path, value: str | None
) -> None:
    given = table_file.read(give(tmp_path / "loans", loans().assign(note=value)))
    declared, guesses = guess.guess(given, "loans", Choices(), guess.Hints())
    assert "note" in declared.excluded
    assert "excluded note" in guesses.listed
