"""BentoML's server with a service of one API, one worker."""

import bentoml
from risk_model import load


@bentoml.service(workers=1)
class Risk:
    """The model as BentoML's documentation writes a service."""

    def __init__(self) -> None:
        """Load the model."""
        self.risk = load()

    @bentoml.api
    def predict(self, inputs: list[list[float]]) -> dict[str, list[float]]:
        """The risk of each row."""
        return {"risk": self.risk(inputs)}
