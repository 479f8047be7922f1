SECRETS = {"token_env": "tok-1234567890"}
PARAMETERS = {"request": {"method": "POST", "path": "/invoices/7", "json": {"cents": 1200}, "query": {"dry": True}}}


def settings(base_url, folder):
    return {"base_url": base_url + "/api", "token_env": "CRM_TOKEN", "headers": {"X-Team": "billing"}}
