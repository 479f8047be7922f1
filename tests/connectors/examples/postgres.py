PROTOCOL = "tcp"
PARAMETERS = {
    "insert": {"table": "orders", "row": {"id": 7, "total": "12.50"}},
    "upsert": {"table": "shop.orders", "row": {"id": 7, "total": "12.50"}, "conflict": ["id"]},
    "execute": {"statement": "pay", "arguments": [7]},
}


def secrets(base_url):
    return {"dsn_env": base_url.replace("http://", "postgresql://shop:planted-password-1234567890@") + "/shop"}


def settings(base_url, folder):
    statements = {"pay": "UPDATE orders SET paid = true WHERE id = $1"}
    return {"dsn_env": "DATABASE_URL", "tls": "off", "statements": statements}
