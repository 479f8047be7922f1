"""The entries of the section ``tests``: an event in a file, and the routes, actions and parameters it must lead to."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Expectation(BaseModel):
    """One delivery, or failure, that the event must lead to. What is not given is not compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: str = Field(description="The route that takes the event.")
    action: str | None = Field(None, description="destination.action, as `headrace try` shows it.")
    parameters: dict[str, Any] | None = Field(None, description="The rendered parameters, all of them.")
    fails: str | None = Field(None, description="A part of the reason for which the route fails.")


class TableTest(BaseModel):
    """One entry of ``tests``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="What is tested, in words.", min_length=1)
    source: str = Field(description="The source of the event.")
    event: str = Field(description="A file with a body, or a captured request, relative to the routing table.")
    type: str | None = Field(None, description="The event's type, where the file does not tell it.")
    headers: dict[str, str] = Field(default={}, description="Headers of the request.")
    expect: list[Expectation] = Field(description="All deliveries, in the order of routes and items; [] for none.")
