from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"token_env": "patplanted.1234567890"}
PARAMETERS = {
    "create_record": {"table": "New orders", "fields": {"Order": 7, "Paid": True}, "typecast": True},
    "upsert_record": {"table": "tbl12345678901234", "fields": {"Order": 7}, "merge_on": ["Order"]},
}
SENT = {
    "create_record": (
        "POST",
        "/v0/appABCDEFGHIJKLMN/New%20orders",
        {"records": [{"fields": {"Order": 7, "Paid": True}}], "typecast": True},
    ),
    "upsert_record": (
        "PATCH",
        "/v0/appABCDEFGHIJKLMN/tbl12345678901234",
        {"records": [{"fields": {"Order": 7}}], "performUpsert": {"fieldsToMergeOn": ["Order"]}, "typecast": False},
    ),
}
ANSWERS = dict.fromkeys(PARAMETERS, Said(body={"records": [{"id": "rec560UJdUtocSouk", "fields": {}}]}))
MADE = dict.fromkeys(PARAMETERS, "record rec560UJdUtocSouk")


def error(kind, message):
    return {"error": {"type": kind, "message": message}}


REFUSALS = [
    Said(
        429,
        {"errors": [{"error": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded."}]},
        kind=RateLimited,
        wait_s=30,
    ),
    Said(401, error("AUTHENTICATION_REQUIRED", "Authentication required"), kind=CredentialsRefused),
    Said(403, error("INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "Invalid permissions"), kind=CredentialsRefused),
    Said(404, {"error": "NOT_FOUND"}, kind=PermanentError, says="NOT_FOUND"),
    Said(
        422, error("UNKNOWN_FIELD_NAME", 'Unknown field name: "Orders"'), kind=PermanentError, says="Unknown field name"
    ),
    Said(503, error("SERVER_ERROR", "try again"), kind=TransientError),
]


def settings(base_url, folder):
    return {"base_url": base_url, "base_id": "appABCDEFGHIJKLMN", "token_env": "AIRTABLE_TOKEN"}
