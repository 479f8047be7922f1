PROTOCOL = "tcp"
SECRETS = {"password_env": "planted-password-1234567890"}
PARAMETERS = {"publish": {"topic": "orders", "key": "7", "value": {"order": 7}, "headers": {"source": "shop"}}}


def settings(base_url, folder):
    return {
        "bootstrap_servers": base_url.removeprefix("http://"),
        "sasl_mechanism": "PLAIN",
        "username": "shop",
        "password_env": "KAFKA_PASSWORD",
    }
