"""The section ``ingest`` of the routing table: what holds for every source."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.public_url import PublicUrl
from ingest.rate import parse_rate


class SpoolSettings(BaseModel):
    """The bounds of the spool, over all ingest processes of this machine; each has its share."""

    model_config = ConfigDict(extra="forbid")

    events_max: Annotated[int, Field(ge=1, le=1_000_000_000, description="The most events that may wait.")] = 1_000_000
    bytes_max: Annotated[int, Field(ge=1, description="The most bytes of events that may wait.")] = 2 * 1024**3
    disk_free_bytes_min: Annotated[int, Field(ge=0, description="What is left free of the disk, for others.")] = 1024**3
    # Longer than an acknowledgement on a working cluster, shorter than any provider's deadline.
    after_s: Annotated[float, Field(gt=0, le=30, description="How long Kafka has for its acknowledgement.")] = 1.0
    drain_rate: Annotated[str, Field(description="How fast the spool is published, such as 1000/s.")] = "1000/s"

    @field_validator("drain_rate")
    @classmethod
    def _check_rate(cls, value: str) -> str:
        parse_rate(value)
        return value

    @property
    def drain_per_s(self) -> float:
        """Events a second that are published out of the spool, at most."""
        return parse_rate(self.drain_rate)


class IngestSettings(BaseModel):
    """The keys of the section."""

    model_config = ConfigDict(extra="forbid")

    public_url: Annotated[
        PublicUrl | None, Field(description="Where providers reach ingest, such as https://hooks.example.com.")
    ] = None
    spool: Annotated[
        bool | SpoolSettings,
        Field(description="Keep events on this machine's disk while Kafka is away, instead of answering 503."),
    ] = False

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value is not None else None

    @property
    def spool_settings(self) -> SpoolSettings | None:
        """The bounds of the spool, or ``None`` if there is none."""
        if isinstance(self.spool, SpoolSettings):
            return self.spool
        return SpoolSettings() if self.spool else None
