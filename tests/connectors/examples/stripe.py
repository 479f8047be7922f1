from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from tests.connectors.examples import Said

SECRETS = {"token_env": "rk_test_planted1234567890"}
PARAMETERS = {
    "create_customer": {"email": "ada@example.com", "name": "Ada", "metadata": {"order": 7}},
    "create_refund": {"payment_intent": "pi_1", "amount": 500, "reason": "requested_by_customer"},
    "post": {
        "path": "/v1/subscriptions",
        "parameters": {"customer": "cus_1", "items": [{"price": "price_1"}], "trial": True},
    },
}
SENT = {
    "create_customer": ("POST", "/v1/customers", b"email=ada%40example.com&name=Ada&metadata%5Border%5D=7"),
    "create_refund": ("POST", "/v1/refunds", b"payment_intent=pi_1&amount=500&reason=requested_by_customer"),
    "post": ("POST", "/v1/subscriptions", b"customer=cus_1&items%5B0%5D%5Bprice%5D=price_1&trial=true"),
}
ANSWERS = {
    "create_customer": Said(body={"id": "cus_9", "object": "customer"}),
    "create_refund": Said(body={"id": "re_9", "object": "refund"}),
    "post": Said(body={"id": "sub_9", "object": "subscription"}),
}
MADE = {"create_customer": "customer cus_9", "create_refund": "refund re_9", "post": "subscription sub_9"}


def error(code, kind="invalid_request_error", message="no"):
    return {"error": {"code": code, "type": kind, "message": message}}


REFUSALS = [
    Said(400, error("parameter_invalid_empty"), kind=PermanentError, says="parameter_invalid_empty"),
    Said(402, error("card_declined", "card_error", "Your card was declined."), kind=PermanentError, says="declined"),
    Said(401, error("", message="Invalid API Key provided"), kind=CredentialsRefused),
    Said(403, error("", message="The provided key does not have the required permissions"), kind=CredentialsRefused),
    Said(409, error("idempotency_key_in_use", "idempotency_error"), kind=TransientError),
    Said(429, error("rate_limit"), kind=RateLimited),
    Said(429, error("lock_timeout"), {"Stripe-Should-Retry": "true"}, kind=RateLimited),
    Said(400, error("lock_timeout"), {"Stripe-Should-Retry": "true"}, kind=TransientError),
    Said(500, error("", "api_error"), kind=TransientError),
    Said(500, error("", "api_error"), {"Stripe-Should-Retry": "false"}, kind=PermanentError, says="same answer"),
]


def settings(base_url, folder):
    return {"base_url": base_url, "token_env": "STRIPE_KEY"}
