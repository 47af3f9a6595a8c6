"""The rubric of a grade, from rubric.toml: what each part is worth."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exercises.workbench.catalogue import Exercise

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
    weights_of_configuration: dict[Part, int]
    words: dict[Part | Literal["answers"], str]
    code: Code
    explanation: Explanation

    @model_validator(mode="after")
    def _is_whole(self) -> "Rubric":
        for weights in (self.weights, self.weights_without_code, self.weights_of_configuration):
            if (total := sum(weights.values())) != 100:
                raise ValueError(f"the weights of the parts add up to {total}, wanted are 100")
        return self

    def weights_of(self, exercise: Exercise) -> dict[Part, int]:
        """The weights for an exercise: a decision has no code or tests, YAML no types."""
        if exercise.kind == "decide":
            return self.weights_without_code
        is_python = any(name.endswith(".py") for name in exercise.files)
        return self.weights if is_python else self.weights_of_configuration

    def about(self, part: Part, kind: str) -> str:
        """What a part is about, for a kind of exercise."""
        return self.words["answers" if (part, kind) == ("working", "decide") else part]


@cache
def rubric() -> Rubric:
    """The rubric of this checkout."""
    return Rubric.model_validate(tomllib.loads(PATH.read_text(encoding="utf-8")))
