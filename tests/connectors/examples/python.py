SECRETS = {}
PARAMETERS = {"call": {"function": "greet", "args": {"name": "Ada"}}}


def settings(base_url, folder):
    (folder / "actions.py").write_text("async def greet(call, name):\n    assert call.idempotency_key and name\n")
    return {"module": str(folder / "actions.py")}
