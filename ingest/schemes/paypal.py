"""PayPal: SHA256withRSA, base64, of ``<transmission id>|<time>|<webhook id>|<CRC-32 of the raw body>``.

Source: developer.paypal.com, "Verify webhook signature" ("Self verification"), "Webhooks guide"; the library
paypalrestsdk, ``WebhookEvent.verify``. The certificate is fetched by HTTPS from PayPal alone. CRC-32 is no hash: who
has one signed request can make another body with its checksum, so the events' ids do not count as signed.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from pydantic import Field

from ingest.public_key import decode_signature_base64, new_rsa_key, private_key, require_rsa
from ingest.scheme import CannotSign, Identity, SchemeOptions, text_field
from ingest.signature import InvalidSignature, SignedRequest, require_equal, require_fresh_rfc3339

NEEDS_SECRET = False  # PayPal signs with its own key; the webhook's id is none
KEPT_HEADERS = ("paypal-transmission-id", "paypal-transmission-time")
RETRY_WINDOW_S = 3 * 24 * 3600  # up to 25 retries
ANSWER_WITHIN_S = None
# An hour more: PayPal does not say whether a retry is signed anew, and id and body are remembered.
TIMESTAMP_TOLERANCE_S = RETRY_WINDOW_S + 3600
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.event_type", False
DOCUMENT_HOSTS = ("api.paypal.com", "api.sandbox.paypal.com")
CERTIFICATE_PATH = "/v1/notifications/certs/"
CERTIFICATES_MAX = 16  # parsed ones kept in memory
ID_FIELD = "id"
SAMPLE = {
    "event_type": "PAYMENT.CAPTURE.COMPLETED",
    "resource_type": "capture",
    "resource": {"id": "42311647XV020574X"},
}


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    webhook_id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9-]{1,100}$",
            description="The webhook's id, as the developer dashboard shows it.",
            examples=["1JE4291016473214C"],
        ),
    ]


def needs(request: SignedRequest, *, options: Options) -> str:
    """Return the address of the certificate.

    Raises:
        InvalidSignature: the header is missing or repeated, or names no certificate of PayPal.
    """
    text = request.header("paypal-cert-url")
    try:
        url = text.decode("ascii")
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidSignature("the header paypal-cert-url is no address") from error
    if parts.scheme != "https" or parts.netloc not in DOCUMENT_HOSTS or port is not None:
        raise InvalidSignature("the header paypal-cert-url is of another host than PayPal's")
    if not parts.path.startswith(CERTIFICATE_PATH) or "." in parts.path or parts.query or parts.fragment:
        raise InvalidSignature("the header paypal-cert-url is no certificate of PayPal")
    return url


def verify(request: SignedRequest, *, secret: bytes, now_s: float, document: bytes, options: Options) -> None:
    """Return only if PayPal signed this request, for this webhook, within three days and an
    hour of now.

    Args:
        request: as received.
        secret: empty.
        now_s: Unix time in seconds.
        document: the certificate in PEM, from the address that `needs` names.
        options: the source's.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match, or the certificate is
            not PayPal's or not valid now.
    """
    transmission_id = request.header("paypal-transmission-id")
    time = request.header("paypal-transmission-time")
    if b"|" in transmission_id:
        raise InvalidSignature("the header paypal-transmission-id has a |")  # the signed text could be cut elsewhere
    require_fresh_rfc3339(time, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    require_equal(b"SHA256withRSA", request.header("paypal-auth-algo"))
    signature = decode_signature_base64(request.header("paypal-transmission-sig"))
    message = _signed_text(transmission_id, time, request.body, options)
    require_rsa(_certificate_key(document, int(now_s)), signature, message)


def make_keys() -> tuple[bytes, bytes]:
    """Return a new RSA key, and no secret: what verifies is in the certificate."""
    return new_rsa_key(), b""


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``event_type``.

    Raises:
        MalformedEvent: there is no id, or one of them is not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "event_type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the headers with which PayPal would send ``body``, which holds its own id.

    Raises:
        CannotSign: ``secret`` is no RSA key, as PayPal's is PayPal's alone.
    """
    key = private_key(secret)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CannotSign("this is a key of another kind than RSA")
    time = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = _signed_text(event_id.encode(), time.encode(), body, options)
    signature = base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
    return {
        "PAYPAL-TRANSMISSION-ID": event_id,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": signature,
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        "PAYPAL-CERT-URL": f"https://{DOCUMENT_HOSTS[1]}{CERTIFICATE_PATH}CERT-360caa42-fca2a594-ab66f33d",
    }


def _signed_text(transmission_id: bytes, time: bytes, body: bytes, options: Options) -> bytes:
    return b"%b|%b|%b|%d" % (transmission_id, time, options.webhook_id.encode(), binascii.crc32(body))


def _certificate_key(document: bytes, now_s: int) -> rsa.RSAPublicKey:
    key, name, not_before_s, not_after_s = _certificate(document)
    if not name.lower().endswith(".paypal.com"):
        raise InvalidSignature("the certificate is of another name than PayPal's")
    if not not_before_s <= now_s <= not_after_s:
        raise InvalidSignature("the certificate is not valid now")
    return key


@lru_cache(maxsize=CERTIFICATES_MAX)
def _certificate(document: bytes) -> tuple[rsa.RSAPublicKey, str, float, float]:
    try:
        certificate = x509.load_pem_x509_certificate(document)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
    except Exception as error:
        raise InvalidSignature("the certificate cannot be read") from error
    if len(names) != 1 or not isinstance(names[0].value, str) or not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature("the certificate has no common name, or a key of another kind than RSA")
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return key, names[0].value, begins, ends
