"""Drills in a checkout of a declared table: refused in one sentence, before any is loaded."""

from dataclasses import replace

import pytest

from exercises import drill


@pytest.mark.parametrize("words", [["list"], ["run", ""], ["run", "slow"]])
def test_a_use_case_of_one_table_has_no_drills(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drill, "USECASE", replace(drill.USECASE, context=None))
    assert drill.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("drill: UsageError: 0 drills are of flights, 1 is needed")
    assert said.count("\n") == 1
    assert "`make drill` in a clone that adopted nothing" in said
