PROTOCOL = "tcp"
SECRETS = {"password_env": "planted-password-1234567890"}
PARAMETERS = {
    "send": {
        "to": ["Ada <ada@example.com>", "bob@example.com"],
        "subject": "Your order",
        "text": "Thank you",
        "html": "<p>Thank you</p>",
        "attachments": [{"name": "a.txt", "content": "x", "content_type": "text/plain"}],
    }
}


def settings(base_url, folder):
    host, _, port = base_url.removeprefix("http://").partition(":")
    return {
        "host": host,
        "port": int(port),
        "username": "shop",
        "password_env": "MAIL_PASSWORD",
        "sender": "Shop <shop@example.com>",
    }
