"""The rubric of a grade, from rubric.toml: what each part is worth."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Part = Literal["working", "code", "tests", "explanation"]
PATH = Path(__file__).with_name("rubric.toml")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(_Section):
    """Points that each finding takes from the part `code`."""

    lint: float = Field(ge=0)
    format: float = Field(ge=0)
    types: float = Field(ge=0)
    long_function: float = Field(ge=0)
    max_function_lines: int = Field(gt=0)


class Explanation(_Section):
    """The length of NOTES.md, in words."""

    min_words: int = Field(gt=0)
    max_words: int = Field(gt=0)


class Rubric(_Section):
    """The weights of the parts, in points of 100, and how each is counted."""

    weights: dict[Part, int]
    weights_without_code: dict[Part, int]
    words: dict[Part, str]
    code: Code
    explanation: Explanation

    @model_validator(mode="after")
    def _is_whole(self) -> "Rubric":
        for weights in (self.weights, self.weights_without_code):
            if (total := sum(weights.values())) != 100:
                raise ValueError(f"the weights of the parts add up to {total}, wanted are 100")
        return self

    def weights_of(self, kind: str) -> dict[Part, int]:
        """The weights for a kind of exercise: a decision has no code and no tests."""
        return self.weights_without_code if kind == "decide" else self.weights


@cache
def rubric() -> Rubric:
    """The rubric of this checkout."""
    return Rubric.model_validate(tomllib.loads(PATH.read_text(encoding="utf-8")))
