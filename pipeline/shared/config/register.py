"""The config of register: configs/register.yaml."""

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field

from pipeline.shared.config.sections import REGISTRY, StageConfig
from pipeline.shared.secrets import Address


class RegisterConfig(StageConfig):
    """The registry: its name for the model, and the servers or files behind it."""

    stage = "register"
    environment = REGISTRY
    model_name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    experiment: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    # What MLflow knows; it repeats an address that it does not know, with the password in it.
    tracking_url: Address[
        Annotated[
            str, Field(pattern=r"^(https?|(sqlite|postgresql|mysql|mssql)(\+[a-z0-9_]+)?)://")
        ]
    ]
    artifacts_url: Address[str]

    @property
    def database(self) -> Path | None:
        """The embedded store's file; None where a server keeps it."""
        scheme, _, path = self.tracking_url.get_secret_value().partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def artifacts(self) -> Path | None:
        """The folder of the artifacts; None where a server keeps them."""
        address = self.artifacts_url.get_secret_value()
        url = urlsplit(address)
        if url.scheme not in ("", "file"):
            return None
        return Path(unquote(url.path) if url.scheme else address)
