import base64

from connectors.errors import CredentialsRefused, PermanentError, RateLimited
from tests.connectors.examples import Said

SID = "AC" + "0a" * 16
SECRETS = {"token_env": "planted-auth-token-1234567890"}
PARAMETERS = {"send_message": {"to": "+15558675310", "sender": "+15017122661", "body": "Your order is on its way"}}
SENT = {
    "send_message": (
        "POST",
        f"/2010-04-01/Accounts/{SID}/Messages.json",
        b"To=%2B15558675310&From=%2B15017122661&Body=Your+order+is+on+its+way",
    )
}
ANSWERS = {"send_message": Said(201, {"sid": "SM" + "1b" * 16, "status": "queued", "error_code": None})}
MADE = {"send_message": "message SM" + "1b" * 16}


def error(status, code, message):
    return Said(
        status,
        {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status},
    )


def refusal(status, code, message, kind):
    said = error(status, code, message)
    return Said(status, said.body, kind=kind, says=str(code))


REFUSALS = [
    refusal(400, 21211, "The 'To' number is not a valid phone number", PermanentError),
    refusal(400, 21610, "Attempt to send to unsubscribed recipient", PermanentError),
    refusal(403, 21610, "Attempt to send to unsubscribed recipient", PermanentError),
    refusal(400, 21611, "This 'From' number has exceeded the maximum number of queued messages", RateLimited),
    refusal(429, 20429, "Too Many Requests", RateLimited),
    refusal(401, 20003, "Authenticate", CredentialsRefused),
    refusal(400, 20005, "Account not active", CredentialsRefused),
]


def settings(base_url, folder):
    return {"base_url": base_url, "account_sid": SID, "token_env": "TWILIO_TOKEN"}


def is_authentic(request):
    expected = base64.b64encode(f"{SID}:{SECRETS['token_env']}".encode()).decode()
    return request.header("authorization") == f"Basic {expected}"
