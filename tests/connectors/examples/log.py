SECRETS = {}
PARAMETERS = {"write": {"message": "paid", "cents": 1200, "lines": [{"sku": "a"}]}}


def settings(base_url, folder):
    return {}
