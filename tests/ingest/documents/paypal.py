"""A certificate as PayPal's host would have, for a key that `make_keys` made."""

from __future__ import annotations

import base64
import functools
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509.oid import NameOID


@functools.cache  # a signature for every request would make the suite slow
def document(signing_key: bytes, *, name: str = "messageverificationcerts.sandbox.paypal.com") -> bytes:
    key = load_der_private_key(base64.b64decode(signing_key), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    dated = builder.not_valid_before(datetime(2023, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2033, 1, 1, tzinfo=UTC))
    certificate = dated.serial_number(1).sign(key, hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM)
