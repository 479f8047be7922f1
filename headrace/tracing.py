"""Traces by OpenTelemetry, sent by OTLP over HTTP: on by the standard ``OTEL_*`` variables, off without them.

OpenTelemetry is imported only when traces are on. What cannot be exported is dropped, in a thread of its own: a
collector that is slow or away holds up nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headrace import __version__
from headrace.context import SettingError
from streams.tracing import Kind, Span, Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TRUST = "HEADRACE_TRACE_TRUST_PRODUCERS"
STOP_S_MAX = 3.0


def tracing_mistakes(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable about traces that cannot be used."""
    mistakes = []
    if environ.get(TRUST, "false").lower() not in ("", "true", "false"):
        mistakes.append(f"{TRUST} is neither true nor false")
    if not wants_traces(environ):
        return mistakes
    exporter = environ.get("OTEL_TRACES_EXPORTER", "") or "otlp"
    if exporter != "otlp":
        mistakes.append(f"OTEL_TRACES_EXPORTER is {exporter!r}: Headrace sends otlp, or none")
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        mistakes.append(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: Headrace sends http/protobuf")
    if importlib.util.find_spec("opentelemetry") is None:
        mistakes.append("traces are on, but OpenTelemetry is not installed: pip install 'headrace[traces]'")
    return mistakes


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Return whether the environment turns traces on: an OTLP endpoint is named, or the exporter ``otlp``."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environ.get(name) for name in (*ENDPOINTS, "OTEL_TRACES_EXPORTER"))


def start_tracing(environ: Mapping[str, str], service: str) -> Tracing:
    """Return what makes traces in this process: nothing, unless the environment turns them on.

    Raises:
        SettingError: the environment turns them on in a way that cannot be used, or OpenTelemetry is not installed.
    """
    mistakes = tracing_mistakes(environ)
    if mistakes:
        raise SettingError("; ".join(mistakes))
    return OtelTracing(environ, service) if wants_traces(environ) else Tracing()


class OtelTracing(Tracing):
    """Makes traces with a provider of its own, not the process's global one."""

    on = True

    def __init__(self, environ: Mapping[str, str], service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is given here.
        named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": f"headrace-{service}"}
        resource = Resource.create({**named, "service.version": __version__})
        self.trusts_producers = environ.get(TRUST, "").lower() == "true"
        self._provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("headrace", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def span(  # noqa: D102  as in Tracing
        self,
        name: str,
        kind: Kind,
        *,
        parent: str = "",
        link: str = "",
        began_ms: int | None = None,
        **attributes: str | int | float | bool,
    ) -> Iterator[Span]:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind

        linked = [Link(self._context_of(link))] if link else []
        context: Context | None = None  # the span around
        if parent:
            context = self._propagator.extract({"traceparent": parent})
        elif link:
            context = Context()
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=SpanKind[kind.upper()],
            links=linked,
            attributes={f"headrace.{key}": value for key, value in attributes.items()},
            start_time=None if began_ms is None else began_ms * 1_000_000,
            record_exception=False,  # its text may show what nobody has looked through
            set_status_on_exception=False,
        ) as span:
            yield _OtelSpan(span)

    def traceparent(self) -> str:  # noqa: D102  as in Tracing
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def stop(self) -> None:
        """Send what is left, within `STOP_S_MAX`; what a collector that is away has not taken by then is dropped."""
        stopping = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        stopping.start()
        stopping.join(STOP_S_MAX)

    def _context_of(self, traceparent: str) -> Any:
        from opentelemetry.trace import get_current_span

        return get_current_span(self._propagator.extract({"traceparent": traceparent})).get_span_context()


class _OtelSpan(Span):
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def note(self, **attributes: str | int | float | bool) -> None:
        self._span.set_attributes({f"headrace.{key}": value for key, value in attributes.items()})

    def fail(self, reason: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, reason))
