"""Ask PyPI packages that receive a provider's requests whether they accept the rows that say so: see ../README.md.

Usage: python accept.py FOLDER (of the vectors).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def airtable(secret: str, headers: dict[str, str], body: str, url: str) -> None:
    from pyairtable.models.webhook import WebhookNotification

    WebhookNotification.from_request(body, headers["X-Airtable-Content-MAC"], secret)


def meta(secret: str, headers: dict[str, str], body: str, url: str) -> None:
    from pywa.utils import webhook_updates_validator

    assert webhook_updates_validator(secret, body.encode(), headers["X-Hub-Signature-256"])


def mandrill(secret: str, headers: dict[str, str], body: str, url: str) -> None:
    request = django_request(headers, body)
    from anymail.webhooks.mandrill import MandrillCombinedWebhookView

    MandrillCombinedWebhookView(webhook_key=secret, webhook_url=url).validate_request(request)


def mailgun(secret: str, headers: dict[str, str], body: str, url: str) -> None:
    request = django_request(headers, body)
    from anymail.webhooks.mailgun import MailgunTrackingWebhookView

    MailgunTrackingWebhookView(webhook_signing_key=secret).validate_request(request)


def django_request(headers: dict[str, str], body: str) -> Any:
    import django
    from django.conf import settings
    from django.test import RequestFactory

    if not settings.configured:
        settings.configure(SECRET_KEY="-")
        django.setup()
    sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return RequestFactory().post("/", body.encode(), content_type=headers["Content-Type"], **sent)


ACCEPTS: dict[str, Callable[[str, dict[str, str], str, str], None]] = {
    "airtable": airtable,
    "mailgun": mailgun,
    "mandrill": mandrill,
    "meta": meta,
}


def accepted(scheme: str, *given: Any) -> bool:
    try:
        ACCEPTS[scheme](*given)
    except Exception:
        return False
    return True


if __name__ == "__main__":
    for scheme in ACCEPTS:
        for row in json.loads(Path(sys.argv[1], f"{scheme}.json").read_text()):
            secret, request = row["secret"], row["request"]
            headers, body, url = dict(request["headers"]), request["body"], request.get("public_url", "")
            changed = body.replace("17000", "17001").replace("14036", "14037") if scheme == "mailgun" else body + "x"
            assert accepted(scheme, secret, headers, body, url), scheme
            assert not accepted(scheme, secret, headers, changed, url), scheme
            assert not accepted(scheme, "AAAA" + secret, headers, body, url), scheme
            print(f"{scheme}: accepted")
