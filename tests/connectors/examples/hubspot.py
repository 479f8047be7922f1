from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"token_env": "pat-eu1-planted-1234567890"}
PARAMETERS = {
    "upsert": {
        "object_type": "contacts",
        "id_property": "email",
        "id": "ada@example.com",
        "properties": {"firstname": "Ada", "orders": 7, "vip": True, "phone": None},
    },
    "create": {"object_type": "deals", "properties": {"dealname": "Order 7"}},
    "update": {"object_type": "contacts", "id": "ada@example.com", "id_property": "email", "properties": {"orders": 8}},
}
SENT = {
    "upsert": (
        "POST",
        "/crm/v3/objects/contacts/batch/upsert",
        {
            "inputs": [
                {
                    "id": "ada@example.com",
                    "idProperty": "email",
                    "properties": {"firstname": "Ada", "orders": "7", "vip": "true", "phone": ""},
                }
            ]
        },
    ),
    "create": ("POST", "/crm/v3/objects/deals", {"properties": {"dealname": "Order 7"}}),
    "update": (
        "PATCH",
        "/crm/v3/objects/contacts/ada@example.com?idProperty=email",
        {"properties": {"orders": "8"}},
    ),
}
ANSWERS = {
    "upsert": Said(body={"status": "COMPLETE", "results": [{"id": "512", "new": False}]}),
    "create": Said(201, {"id": "513"}),
    "update": Said(body={"id": "512"}),
}
MADE = {"upsert": "contacts 512", "create": "deals 513", "update": "contacts 512"}
MEANINGS = {409: PermanentError}


def error(category, message, **more):
    return {"status": "error", "category": category, "message": message, "correlationId": "c", **more}


def limit(policy):
    message = f"You have reached your {policy.lower()} limit."
    return {"status": "error", "message": message, "errorType": "RATE_LIMIT", "policyName": policy}


REFUSALS = [
    Said(429, limit("TEN_SECONDLY_ROLLING"), kind=RateLimited, wait_s=10),
    Said(429, limit("SECONDLY"), kind=RateLimited, wait_s=1),
    Said(429, limit("DAILY"), kind=RateLimited, wait_s=3600),
    Said(400, error("VALIDATION_ERROR", "Property values were not valid"), kind=PermanentError, says="not valid"),
    Said(401, error("INVALID_AUTHENTICATION", "expired"), kind=CredentialsRefused),
    Said(403, error("MISSING_SCOPES", "This app hasn't been granted all required scopes"), kind=CredentialsRefused),
    Said(
        409, error("CONFLICT", "Contact already exists. Existing ID: 12"), kind=PermanentError, says="Existing ID: 12"
    ),
    Said(423, error("LOCKED", "locked"), kind=TransientError),
    Said(
        207,
        {
            "status": "COMPLETE",
            "results": [],
            "numErrors": 1,
            "errors": [error("VALIDATION_ERROR", "no such property")],
        },
        kind=PermanentError,
        says="no such property",
    ),
]


def settings(base_url, folder):
    return {"base_url": base_url, "token_env": "HUBSPOT_TOKEN"}
