from connectors.errors import CredentialsRefused, PermanentError, TransientError
from tests.connectors.examples import Said

PARAMETERS = {"post_message": {"text": "A new order"}}
SENT = {"post_message": ("POST", "/services/T00000000/B00000000/plantedXXXXXXXXXXXXXXXXX", {"text": "A new order"})}
ANSWERS = {"post_message": Said(body=b"ok")}
MEANINGS = {404: CredentialsRefused}
REFUSALS = [
    Said(400, b"invalid_payload", kind=PermanentError, says="invalid_payload"),
    Said(403, b"action_prohibited", kind=CredentialsRefused, says="action_prohibited"),
    Said(404, b"no_service", kind=CredentialsRefused, says="no_service"),
    Said(410, b"channel_is_archived", kind=CredentialsRefused),
    Said(500, b"rollup_error", kind=TransientError, says="rollup_error"),
]


def secrets(base_url):
    return {"url_env": base_url + "/services/T00000000/B00000000/plantedXXXXXXXXXXXXXXXXX"}


def settings(base_url, folder):
    return {"url_env": "SLACK_URL"}
