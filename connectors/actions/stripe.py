"""Stripe: customers, refunds, and anything else that its API creates or changes by POST.

Example::

    destinations:
      payments: {connector: stripe, token_env: STRIPE_API_KEY}
    routes:
      - name: cancelled-order-to-refund
        source: orders
        when: body.status == "cancelled"
        to: payments
        action: create_refund
        with: {payment_intent: "{{ body.payment_intent }}", reason: requested_by_customer}

Source: docs.stripe.com/api, "Idempotent requests", "Errors", "Versioning"; docs.stripe.com/rate-limits;
docs.stripe.com/error-low-level, "Stripe-Should-Retry".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.content import as_text
from connectors.dialect import Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint
from connectors.errors import PermanentError
from connectors.rules import exactly_one
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

API_VERSION = "2026-10-28.endive"
DEPTH_MAX = 10
NO_RETRY, RETRY = "should-retry: false", "should-retry: true"

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]
Metadata = Annotated[dict[str, str], Field(max_length=50)]


class StripeSettings(WebSettings):
    """A destination of connector ``stripe``."""

    base_url: BaseUrl = "https://api.stripe.com"
    token_env: EnvName = Field(description="A secret or, better, a restricted key: sk_… or rk_….")
    api_version: str = Field(API_VERSION, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?$")
    account: str | None = Field(None, pattern=r"^acct_[A-Za-z0-9]+$", description="A connected account to act for.")
    rate: Rate | None = Field("25/s", description="Stripe allows 25 requests a second in a sandbox, 100 in live mode.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the API, the key and the API's version."""
        headers = {"authorization": f"Bearer {secrets['token_env']}", "stripe-version": self.api_version}
        if self.account is not None:
            headers["stripe-account"] = self.account
        return self.endpoint_at(self.base_url, headers=headers)


def _code(answer: Answer) -> str:
    if answer.status in (401, 403, 429) or answer.status < 300:
        return ""
    told = answer.headers.get("stripe-should-retry", "").strip().lower()
    if told in ("true", "false"):
        return RETRY if told == "true" else NO_RETRY
    code = said_at(answer, "error", "code")
    return code if isinstance(code, str) else ""


stripe = Connector(
    "stripe",
    StripeSettings,
    dialect=Dialect(
        (
            Exceptional(400, 599, "transient", "`Stripe-Should-Retry: true`", frozenset({RETRY})),
            Exceptional(
                400,
                599,
                "permanent",
                "`Stripe-Should-Retry: false`: a retry gets the same answer",
                frozenset({NO_RETRY}),
            ),
        ),
        code=_code,
    ),
)


@stripe.action
async def create_customer(
    call: Call,
    *,
    email: str | None = None,
    name: str | None = None,
    phone: str | None = None,
    description: str | None = None,
    metadata: Metadata | None = None,
) -> str:
    """Create a customer, once although called at least once: Stripe knows a repeat by its ``Idempotency-Key``.

    Stripe forgets keys after a day at the earliest: a repeat after that creates another.

    Returns:
        The customer's id.

    Raises:
        PermanentError: Stripe refuses a field.
        TransientError: Stripe limits the rate, is failing, or could not be reached.
        CredentialsRefused: the key is wrong, or may not do this.
    """
    fields = {"email": email, "name": name, "phone": phone, "description": description, "metadata": metadata}
    return await _post(call, "/v1/customers", fields)


@stripe.action_with(exactly_one("payment_intent", "charge"))
async def create_refund(
    call: Call,
    *,
    payment_intent: Id | None = None,
    charge: Id | None = None,
    amount: Annotated[int, Field(ge=1)] | None = None,
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None,
    metadata: Metadata | None = None,
) -> str:
    """Refund a payment, once although called at least once: Stripe knows a repeat by its ``Idempotency-Key``.

    ``amount`` is in the currency's smallest unit; without it, all that is left is refunded. Stripe forgets keys after a
    day at the earliest, and refuses to refund more than was paid.

    Returns:
        The refund's id.

    Raises:
        PermanentError: not one of ``payment_intent`` and ``charge`` is given, or Stripe refuses the refund.
        TransientError: Stripe limits the rate, is failing, or could not be reached.
        CredentialsRefused: the key is wrong, or may not do this.
    """
    fields = {
        "payment_intent": payment_intent,
        "charge": charge,
        "amount": amount,
        "reason": reason,
        "metadata": metadata,
    }
    return await _post(call, "/v1/refunds", fields)


@stripe.action
async def post(
    call: Call,
    *,
    path: Annotated[str, Field(pattern=r"^/v1/[A-Za-z0-9_/]{1,200}$")],
    parameters: dict[str, Any] | None = None,
) -> str:
    """Post ``parameters`` to any ``path`` of Stripe's API (``/v1/invoiceitems``), once although called at least once.

    Stripe knows a repeat by its ``Idempotency-Key``, for a day at the least. Nested mappings and lists are written as
    Stripe wants them: ``items[0][price]``.

    Returns:
        The object's id.

    Raises:
        PermanentError: Stripe refuses the call.
        TransientError: Stripe limits the rate, is failing, or could not be reached.
        CredentialsRefused: the key is wrong, or may not do this.
    """
    return await _post(call, path, parameters or {})


async def _post(call: Call, path: str, fields: Mapping[str, Any]) -> str:
    answer = await call.client.request("POST", path, form=dict(_flat(fields)))
    return f"{answer.text_at('object')} {answer.text_at('id')}".strip()


def _flat(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield nested fields as a form holds them; what is null is left out."""
    if depth > DEPTH_MAX:
        raise PermanentError(f"the parameters are nested more than {DEPTH_MAX} deep")
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}[{key}]" if name else str(key), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(item, f"{name}[{index}]", depth + 1)
    elif value is not None:
        yield name, as_text(value)
