"""The settings of a destination: what each has, whatever its connector. A connector adds its own keys in a subclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from connectors.endpoint import Endpoint

Rate = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}/[smh]$")]
"""So many calls a second, minute or hour: ``10/s``, ``100/m``, ``1000/h``."""

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable; its value is a secret and never in the routing table."""

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]

_PERIODS_S = {"s": 1, "m": 60, "h": 3600}


def rate_per_s(rate: Rate) -> float:
    """Return a rate such as ``100/m`` as calls a second."""
    count, period = rate.split("/")
    return int(count) / _PERIODS_S[period]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first bound is larger than the second")
    return bounds


class RetrySettings(BaseModel):
    """Attempts in place: ``attempts`` calls in all, with an exponential backoff between the two bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=3, ge=1, le=20)
    backoff_s: Annotated[tuple[Seconds, Seconds], AfterValidator(_ordered)] = (2, 10)


class CircuitSettings(BaseModel):
    """When to leave a failing destination alone: after ``failures`` in a row, for ``open_s`` at a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures: int = Field(default=5, ge=1, le=10_000)
    open_s: Seconds = 30


class DestinationSettings(BaseModel):
    """One destination of the routing table. Each connector subclasses it with its own keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connector: str
    timeout_s: Seconds = Field(10, description="Total time of one call, from connecting to the last byte.")
    concurrency: int = Field(50, ge=1, le=10_000, description="Calls in flight, per worker.")
    rate: Rate | None = Field(
        None, description="Calls over all workers, such as 10/s, 100/m or 1000/h.", examples=["10/s"]
    )
    retry: RetrySettings = RetrySettings()
    delays_s: list[Annotated[int, Field(ge=1, le=604_800)]] = Field(
        default=[60, 120, 240, 480, 960], description="Waits between rounds of attempts; then a dead letter."
    )
    circuit: CircuitSettings = CircuitSettings()

    def secret_envs(self) -> dict[str, list[str]]:
        """Return the environment variables that hold secrets, by the key that names them (``token_env``)."""
        named: dict[str, list[str]] = {}
        for key in type(self).model_fields:
            value = getattr(self, key) if key.endswith("_env") else None
            if value is not None:
                named[key] = [value] if isinstance(value, str) else list(value)
        return named

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint | None:
        """Return where calls go and what each carries; None for a connector that makes no HTTP calls.

        ``secrets`` holds the values of `secret_envs`, by the same keys.
        """
        return None
