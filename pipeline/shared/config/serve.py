"""The config of serve: configs/serve.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.shared.config.sections import StageConfig
from pipeline.shared.secrets import Address

ADDRESSES = {
    "online_url": "PIPELINE_ONLINE_URL",
    "log_url": "PIPELINE_LOG_URL",
    "host": "PIPELINE_HOST",
}
"""Environment variables that override the addresses in the config."""


class ServeConfig(StageConfig):
    """Addresses of the online store and the log, staleness, and a server's limits."""

    stage = "serve"
    environment = ADDRESSES
    online_url: Address[Annotated[str, Field(pattern=r"^(sqlite:///|redis://|postgresql://).+")]]
    compute: Literal["duckdb", "spark"]
    max_lag_minutes: int = Field(gt=0)
    batch_horizon_minutes: int = Field(gt=0)
    host: Literal["127.0.0.1", "0.0.0.0"]
    port: int = Field(ge=1, le=65_535)
    workers: int = Field(ge=1, le=64)
    log_url: Address[Annotated[str, Field(pattern=r"^(sqlite:///|postgresql://).+")]]
    log_queue: int = Field(ge=1, le=1_000_000)
    log_days: int = Field(ge=1, le=3_650)
    max_body_bytes: int = Field(ge=1_000, le=64_000_000)
    max_rows: int = Field(ge=1, le=100_000)
    timeout_ms: int = Field(ge=1, le=60_000)
    max_waiting: int = Field(ge=1, le=10_000)
    queue_ms: int = Field(ge=1, le=60_000)
    refusal_ms: int = Field(ge=0, le=10_000)
    max_connections: int = Field(ge=1, le=100_000)
    max_header_bytes: int = Field(ge=1_000, le=1_000_000)
    request_ms: int = Field(ge=10, le=600_000)
    idle_seconds: int = Field(ge=1, le=3_600)
