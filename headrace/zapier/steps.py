"""What an action's step becomes: the call of a connector."""

from __future__ import annotations

import re

from headrace.zapier.carried import Carried, Variables
from headrace.zapier.export import Step
from headrace.zapier.references import Outputs
from headrace.zapier.services import SERVICES, service_call
from headrace.zapier.webhooks import webhook_call


class NoConnector(Exception):
    """There is no connector for an app, or no such action of it."""

    def __init__(self, app: str, action: str) -> None:
        super().__init__(f"no connector does {action or 'this'} with {app}")
        self.app = app


def carry(step: Step, outputs: Outputs, variables: Variables) -> Carried:
    """Return what becomes of an action's step.

    Raises:
        NoConnector: nothing here speaks to this app, or does this with it.
        Untranslatable: what it does cannot be expressed, or needs a person.
    """
    if step.app.startswith("webhook"):
        return webhook_call(step, outputs, variables)
    for service in SERVICES:
        if re.fullmatch(service.apps, step.app) and re.fullmatch(service.actions, step.action or "send"):
            return service_call(service, step, outputs, variables)
    raise NoConnector(step.app or "unknown app", step.action)
