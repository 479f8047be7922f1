"""The sources section of the routing table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, field_validator, model_validator

from ingest.public_url import PublicUrl
from ingest.rate import parse_rate
from ingest.scheme import EnvName, Scheme, load_scheme
from streams.expression import Expression, Template, has_expression

BODY_BYTES_MAX = 1024 * 1024
ID_NAMES = frozenset({"body", "headers"})  # the rest of an event is not known before its id is

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", to_lower=True)]
EnvNames = Annotated[list[EnvName], Field(min_length=1)]


def parse_duration_s(text: str | int) -> int:
    """Return the seconds of ``90``, ``90s``, ``30m``, ``12h`` or ``7d``.

    Raises:
        ValueError: the text has another form, or the duration is 0.
    """
    match = _DURATION.fullmatch(str(text))
    if match is None or int(match[1]) == 0:
        raise ValueError(f"not a duration: {text!r} (expected a number and s, m, h or d, such as 7d)")
    return int(match[1]) * _SECONDS[match[2]]


class SourceSettings(BaseModel):
    """What every source may set; `source_model_for` adds the options of its scheme."""

    model_config = ConfigDict(extra="forbid")
    scheme_name: ClassVar[str] = "none"

    scheme: Annotated[str, Field(description="How the provider signs.")]
    secret_env: Annotated[
        EnvName | EnvNames | None,
        Field(description="The environment variable of the secret, or several while it is rotated; any may match."),
    ] = None
    event_id: Annotated[str | None, Field(description="Where the event's id is, such as {{ body.id }}.")] = None
    body_bytes_max: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] = BODY_BYTES_MAX
    dedup_ttl: Annotated[str | int, Field(description="For how long an id is remembered, such as 7d.")] = "7d"
    dedup: Annotated[
        Literal["id", "body"],
        Field(description="What makes two events the same: the provider's id, or equal bodies whatever their ids."),
    ] = "id"
    allow_unsigned: Annotated[bool, Field(description="Accept what anybody posts; scheme none needs it.")] = False
    keep_headers: Annotated[list[HeaderName], Field(max_length=50, description="Headers kept with the event.")] = []
    partition_by: Annotated[str | None, Field(description="What keeps its order, such as {{ body.customer }}.")] = None
    rate: Annotated[
        str | None, Field(description="The most that the source may send, such as 100/s.", examples=["100/s"])
    ] = None
    public_url: Annotated[
        PublicUrl | None,
        Field(description="The whole address that the provider calls, where it is not ingest.public_url and the path."),
    ] = None

    @property
    def dedup_ttl_s(self) -> int:
        """For how long an id is remembered: without a word of the table's own, as long as it may come again."""
        ttl_s = parse_duration_s(self.dedup_ttl)
        if "dedup_ttl" in self.model_fields_set:
            return ttl_s
        return max(ttl_s, load_scheme(self.scheme_name).repeated_s)

    @property
    def secret_envs(self) -> list[str]:
        """The environment variables of the secrets, the one to sign with first."""
        if self.secret_env is None:
            return []
        return [self.secret_env] if isinstance(self.secret_env, str) else self.secret_env

    def option_secret_envs(self) -> dict[str, str]:
        """Return the environment variables of further secrets, by the options that name them."""
        fields = load_scheme(self.scheme_name).options_model.model_fields
        named = {key: getattr(self, key) for key in fields if key.endswith("_env")}
        return {key: name for key, name in named.items() if name is not None}

    @field_validator("dedup_ttl")
    @classmethod
    def _check_duration(cls, value: str | int) -> str | int:
        ttl_s, scheme = parse_duration_s(value), load_scheme(cls.scheme_name)
        if ttl_s < scheme.repeated_s:
            raise ValueError(f"shorter than the {_duration(scheme.repeated_s)} in which {_who_repeats(scheme)}")
        return value

    @field_validator("rate")
    @classmethod
    def _check_rate(cls, value: str | None) -> str | None:
        if value is not None:
            parse_rate(value)
        return value

    @field_validator("event_id", "partition_by")
    @classmethod
    def _check_expression(cls, value: str | None) -> str | None:
        if value is not None:
            compile_text(value)
        return value

    @field_validator("keep_headers")
    @classmethod
    def _check_headers(cls, value: list[str]) -> list[str]:
        for name in value:
            if name in _SECRET_HEADERS:
                raise ValueError(f"the header {name} holds a secret, and is never kept")
        return value

    @model_validator(mode="after")
    def _check_secret(self) -> SourceSettings:
        scheme = load_scheme(self.scheme_name)
        if scheme.needs_secret and self.secret_env is None:
            raise ValueError(f"the scheme {self.scheme_name} needs secret_env")
        if not scheme.needs_secret and self.secret_env is not None:
            raise ValueError(f"the scheme {self.scheme_name} checks no secret: remove secret_env")
        if not scheme.signed and not self.allow_unsigned:
            raise ValueError(f"the scheme {self.scheme_name} accepts what anybody posts: set allow_unsigned: true")
        if scheme.signed and self.allow_unsigned:
            raise ValueError("allow_unsigned is for the scheme none: every other request must be signed")
        return self


def source_model_for(scheme_name: str) -> type[SourceSettings]:
    """Return the model of a source with this scheme, its options among the keys.

    Raises:
        UnknownScheme: there is no such scheme.
    """
    scheme = load_scheme(scheme_name)
    # The options come first in the bases, so that an option's description is the scheme's own.
    create: Any = create_model  # its overloads know no type that is made at run time
    model: type[SourceSettings] = create(
        f"{scheme_name.title()}Source",
        __base__=(scheme.options_model, SourceSettings),
        scheme=(Literal[scheme_name], Field(description="How the provider signs.")),
    )
    model.scheme_name = scheme_name
    return model


def compile_text(source: str) -> Callable[[Mapping[str, object]], object]:
    """Return the evaluation of ``{{ expression }}``, text around expressions, or a bare expression.

    Raises:
        ExpressionError: it is none of these, or uses other names than ``body`` and ``headers``.
    """
    if has_expression(source):
        return cast(Callable[[Mapping[str, object]], object], Template(source, names=ID_NAMES).render)
    return Expression(source, names=ID_NAMES).evaluate


def _duration(seconds: int) -> str:
    """Return a duration as the key takes it: ``3d``, ``90s``."""
    unit, size = next(
        (unit, size) for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if not seconds % size
    )
    return f"{seconds // size}{unit}"


def _who_repeats(scheme: Scheme) -> str:
    if scheme.repeated_s == scheme.retry_window_s:
        return "the provider may send an event again"
    return "a request is accepted, so that a captured one would be carried out again"
