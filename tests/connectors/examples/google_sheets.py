import json

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.errors import CredentialsRefused, PermanentError, RateLimited
from tests.connectors.examples import Said

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PARAMETERS = {
    "append_rows": {
        "spreadsheet": "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms",
        "sheet": "New orders!A:D",
        "row": [7, "Ada", True, None],
    }
}
SENT = {
    "append_rows": (
        "POST",
        "/v4/spreadsheets/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/values/New%20orders!A:D:append"
        "?valueInputOption=RAW&insertDataOption=INSERT_ROWS",
        {"values": [[7, "Ada", True, None]]},
    )
}
ANSWERS = {"append_rows": Said(body={"spreadsheetId": "1Bxi", "updates": {"updatedRange": "'New orders'!A8:D8"}})}
MADE = {"append_rows": "'New orders'!A8:D8"}
ASIDE = {"/token": {"access_token": "ya29.planted-token-1234567890", "expires_in": 3599, "token_type": "Bearer"}}


def error(status, name, message, reason=None):
    errors = {"errors": [{"reason": reason, "domain": "usageLimits"}]} if reason else {}
    return {"error": {"code": status, "message": message, "status": name, **errors}}


REFUSALS = [
    Said(429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Write requests'"), kind=RateLimited),
    Said(403, error(403, "PERMISSION_DENIED", "Rate Limit Exceeded", "rateLimitExceeded"), kind=RateLimited),
    Said(403, error(403, "PERMISSION_DENIED", "User Rate Limit Exceeded", "userRateLimitExceeded"), kind=RateLimited),
    Said(403, error(403, "PERMISSION_DENIED", "The caller does not have permission"), kind=CredentialsRefused),
    Said(404, error(404, "NOT_FOUND", "Requested entity was not found."), kind=PermanentError, says="not found"),
    Said(
        400, error(400, "INVALID_ARGUMENT", "Unable to parse range"), kind=PermanentError, says="Unable to parse range"
    ),
]


def secrets(base_url):
    account = {
        "type": "service_account",
        "client_email": "shop@project.iam.gserviceaccount.com",
        "private_key_id": "planted-key-id-1234567890",
        "private_key": PEM,
        "token_uri": base_url + "/token",
    }
    return {"service_account_env": json.dumps(account)}


def settings(base_url, folder):
    return {"base_url": base_url, "service_account_env": "GOOGLE_ACCOUNT"}


def is_authentic(request):
    return request.header("authorization") == "Bearer ya29.planted-token-1234567890"


def read_assertion(assertion, audience):
    """Verify as Google does; returns the claims."""
    return jwt.decode(assertion, KEY.public_key(), algorithms=["RS256"], audience=audience)
