"""A JSON Web Token in a header, by default ``Authorization: Bearer <token>``: HS, RS, PS, ES or EdDSA, never ``none``.

Source: RFC 7519; RFC 8725, "JSON Web Token Best Current Practices". The option ``algorithm`` says by which the sender
signs: what the token says of itself counts for nothing. The body is signed only where the token has its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import Field

from ingest.public_key import private_key, public_key
from ingest.scheme import Identity, SchemeOptions, text_field
from ingest.secret_key import check_key
from ingest.signature import InvalidSignature, SignedRequest, require_any_equal
from ingest.web_token import make_token, read_token, require_valid_now, text_claim

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # unknown: the source's dedup_ttl decides
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 60  # around exp, nbf and iat
ID_AT, TYPE_AT, SIGNED_ID = "", "body.type", False
SIGNS_BODY = False
BODY_HASH_CLAIMS = ("payload_hash", "body_hash", "body_sha256", "request_body_sha256")  # checked where they are there
SECRET_BYTES_MIN = 16  # RFC 7518 asks for the length of the hash; some providers' are shorter

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]

_KINDS = {
    "RS": rsa.RSAPublicKey,
    "PS": rsa.RSAPublicKey,
    "ES": ec.EllipticCurvePublicKey,
    "Ed": ed25519.Ed25519PublicKey,
}


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    algorithm: Annotated[Algorithm, Field(description="How the sender signs; HS with a secret, else a public key.")] = (
        "HS256"
    )
    header: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$", description="The header that holds the token."),
    ] = "Authorization"
    prefix: Annotated[str, Field(max_length=100, description="What stands before the token.")] = "Bearer "
    audience: Annotated[str | None, Field(description="What the claim aud must be or have.")] = None
    issuer: Annotated[str | None, Field(description="What the claim iss must be.")] = None
    body_hash_claim: Annotated[
        str | None, Field(description="The claim that must hold the SHA-256 of the body, in hex or base64.")
    ] = None


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if the token is signed, meant for this audience, valid now, and made for this body if it says so.

    A token without ``exp`` would be valid for ever, and is refused.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or one of these does not hold.
    """
    prefix = options.prefix.encode()
    received = request.header(options.header.lower())
    if received[: len(prefix)].lower() != prefix.lower():
        raise InvalidSignature(f"the header {options.header} does not begin with what the source's prefix says")
    claims = read_token(received[len(prefix) :], _key(secret, options), algorithms=[options.algorithm])
    if claims.get("exp") is None:
        raise InvalidSignature("the token has no exp")
    require_valid_now(claims, now_s=now_s, leeway_s=TIMESTAMP_TOLERANCE_S)
    if options.issuer is not None and claims.get("iss") != options.issuer:
        raise InvalidSignature("the token is of another issuer")
    if options.audience is not None:
        audiences = claims.get("aud")
        if options.audience not in (audiences if isinstance(audiences, list) else [audiences]):
            raise InvalidSignature("the token is for another audience")
    names = [options.body_hash_claim] if options.body_hash_claim else [n for n in BODY_HASH_CLAIMS if n in claims]
    for name in names:
        require_any_equal(text_claim(claims, name), _digests(request.body))


def check_secret(secret: bytes, *, options: Options) -> None:
    """Return only if the secret is a key for this algorithm.

    Raises:
        ValueError: it is not, or a short one.
    """
    if not options.algorithm.startswith("HS"):
        check_key(lambda secret: _key(secret, options), secret)
    elif len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"the secret is shorter than {SECRET_BYTES_MIN} bytes")
    elif b"-----BEGIN" in secret:
        raise ValueError(f"the secret is a key in PEM, and the algorithm {options.algorithm} takes a shared secret")


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id (the source's ``event_id`` may say where it is), and the body's ``type`` if it is text.

    Not ``jti``: that is the token's, and a retry may have a new one.

    Raises:
        MalformedEvent: the type is too long.
    """
    named = isinstance(body, dict) and isinstance(body.get("type"), str) and body["type"] != ""
    return Identity(None, text_field(body, "type") if named else None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the header with a token that is valid at ``now_s`` and holds the hash of ``body``.

    Raises:
        CannotSign: the secret is a public key.
    """
    key = secret if options.algorithm.startswith("HS") else private_key(secret)
    claims: dict[str, object] = {"iat": int(now_s), "exp": int(now_s), "jti": event_id}
    claims[options.body_hash_claim or BODY_HASH_CLAIMS[0]] = hashlib.sha256(body).hexdigest()
    if options.audience is not None:
        claims["aud"] = options.audience
    if options.issuer is not None:
        claims["iss"] = options.issuer
    return {options.header: options.prefix + make_token(claims, key, options.algorithm)}


def _key(secret: bytes, options: Options) -> object:
    if options.algorithm.startswith("HS"):
        return secret
    key = public_key(secret)
    if not isinstance(key, _KINDS[options.algorithm[:2]]):
        raise InvalidSignature(f"the secret is a key of another kind than {options.algorithm} takes")
    return key


def _digests(body: bytes) -> list[bytes]:
    digest = hashlib.sha256(body).digest()
    encoded = [base64.b64encode(digest), base64.urlsafe_b64encode(digest)]
    return [digest.hex().encode(), *encoded, *(text.rstrip(b"=") for text in encoded)]
