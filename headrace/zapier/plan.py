"""What becomes of one Zap: routes, and why something could not be carried over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from headrace.zapier.carried import Carried, Variables
from headrace.zapier.conditions import condition
from headrace.zapier.credentials import redact
from headrace.zapier.export import Step, Zap
from headrace.zapier.formatter import formatted
from headrace.zapier.references import Untranslatable
from headrace.zapier.steps import NoConnector, carry

Verdict = Literal["ready", "needs a connector", "needs a decision", "off"]

_WHY = {
    "delay": "it waits before this step; an event here is carried out at once",
    "digest": "it collects events into a digest; here a schedule sends what its service has kept",
    "code": "it runs code: put that into an async function of the connector python",
    "codebyzapier": "it runs code: put that into an async function of the connector python",
    "storage": "it keeps state at Zapier: keep it in a service that the route calls",
    "looping": "it loops over a list: a route with 'each' makes one delivery an item",
    "subzap": "it calls another Zap: give its routes the same source",
    "approval": "it waits for a person",
    "humanintheloop": "it waits for a person",
}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass
class RoutePlan:
    """One action of a Zap. ``problem`` says why it is not carried over; without one, ``carried`` is what it becomes."""

    title: str
    when: str | None = None
    carried: Carried | None = None
    problem: str = ""
    verdict: Verdict = "ready"


@dataclass
class ZapPlan:
    """One Zap. ``scheme`` is how its source is verified, ``None`` without a source; ``cron`` is that of a schedule."""

    zap: Zap
    title: str
    trigger: str = ""
    scheme: str | None = None
    cron: str | None = None
    routes: list[RoutePlan] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """What has to be done about the whole Zap."""
        if not self.zap.on:
            return "off"
        found = {route.verdict for route in self.routes} | ({"needs a decision"} if self.problems else set())
        worst: tuple[Verdict, ...] = ("needs a connector", "needs a decision")
        return next((verdict for verdict in worst if verdict in found), "ready")

    @property
    def reasons(self) -> list[str]:
        """Why it is not ready, each reason once."""
        return list(dict.fromkeys([*self.problems, *(route.problem for route in self.routes if route.problem)]))


def plan_zap(zap: Zap, variables: Variables, *, schemes: Iterable[str]) -> ZapPlan:
    """Return the plan for one Zap; nothing that it holds makes this raise."""
    plan = ZapPlan(zap, title_of(zap))
    trigger = zap.trigger
    if trigger is None:
        plan.problems.append("it has no steps that can be read")
        return plan
    _plan_trigger(trigger, plan, frozenset(schemes))
    for way in zap.walk():
        if _acts(way[-1]):
            plan.routes.append(_plan_route(zap, way, variables))
    if not plan.routes and not plan.problems:
        plan.problems.append("it has no action")
    return plan


def title_of(zap: Zap) -> str:
    """Return the Zap's title as it can be shown: on one line, and without what looks like a credential."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in zap.title).split())
    return redact(shown)[:80] or f"Zap {redact(zap.id)[:20]}"


def _plan_trigger(trigger: Step, plan: ZapPlan, schemes: frozenset[str]) -> None:
    plan.trigger = redact(trigger.app) or "unknown"
    if trigger.app.startswith("webhook"):
        plan.scheme = "none"
        if "raw" in trigger.action:
            plan.notes.append("Zapier gave the raw body as one field: check what the mapping uses of it")
    elif trigger.app.startswith("schedule"):
        plan.cron = _cron(trigger)
        if plan.cron is None:
            plan.problems.append("its schedule cannot be read: write its cron expression")
    elif trigger.app in schemes:
        plan.scheme = trigger.app
        plan.problems.append(
            f"its trigger was Zapier's app for {trigger.app}: the webhook itself may name fields differently;"
            " compare with a real event by 'headrace try'"
        )
    else:
        plan.problems.append(
            f"its trigger is Zapier's app {plan.trigger}, which Zapier may poll: find out whether the service can post"
            " webhooks, and choose its scheme"
        )


def _cron(trigger: Step) -> str | None:
    """Return the cron expression of a Schedule by Zapier trigger, ``None`` where it cannot be told."""
    params = {str(name).lower(): str(value).lower() for name, value in trigger.params.items()}
    hour, minute = _time_of_day(params)
    days = "MON-FRI" if params.get("weekends", params.get("trigger_on_weekends")) in ("no", "false", "0") else "*"
    action = re.sub(r"[^a-z]", "", trigger.action)
    if "hour" in action:
        return f"{minute or 0} * * * {days}"
    if hour is None:
        return None
    if "day" in action:
        return f"{minute} {hour} * * {days}"
    if "week" in action:
        day = next(
            (name for name in _WEEKDAYS if params.get("day", params.get("day_of_week", "")).startswith(name)), ""
        )
        numbered = params.get("day", params.get("day_of_week", ""))
        day = day.upper() or (numbered if numbered in "01234567" and numbered else "")
        return f"{minute} {hour} * * {day}" if day else None
    if "month" in action:
        day = params.get("day", params.get("day_of_month", ""))
        return f"{minute} {hour} {int(day)} * *" if re.fullmatch(r"[1-9]|[12][0-9]|3[01]", day, re.ASCII) else None
    return None


def _time_of_day(params: dict[str, str]) -> tuple[int | None, int]:
    text = next((params[name] for name in ("time", "time_of_day", "hour", "at") if params.get(name)), "")
    match = re.fullmatch(r"\s*([01]?[0-9]|2[0-3])(?::?([0-5][0-9]))?\s*(am|pm)?\s*", text, re.ASCII)
    if match is None:
        return None, 0
    hour = int(match[1])
    if match[3]:
        hour = hour % 12 + (12 if match[3] == "pm" else 0)
    return hour, int(match[2] or 0)


def _acts(step: Step) -> bool:
    """Return whether a step does something outside, so that it becomes a route."""
    if _is_filter(step) or _is_path(step) or step.app.startswith(("zapierformatter", "formatter", "webhookreply")):
        return False
    return not (step.reads or step.app in _WHY or re.search(r"find|search|lookup|get_", step.action))


def _is_filter(step: Step) -> bool:
    return step.app.startswith("filter") or bool(_rules(step))


def _is_path(step: Step) -> bool:
    return step.app.startswith(("branching", "path", "engine"))


def _rules(step: Step) -> object:
    found = (step.params.get(name) for name in ("filter_criteria", "filters", "rules", "conditions", "criteria"))
    return next((rules for rules in found if rules), None)


def _is_fallback(step: Step) -> bool:
    return (
        "fallback" in step.action or step.params.get("fallback") in (True, "true") or "fallback" in step.title.lower()
    )


def _plan_route(zap: Zap, way: tuple[Step, ...], variables: Variables) -> RoutePlan:
    last = way[-1]
    route = RoutePlan(redact(f"{last.app} {last.action}".strip() or "step"))
    if any(step.paused for step in way):
        route.problem, route.verdict = "it is paused in Zapier", "needs a decision"
        return route
    outputs: dict[str, str] = {way[0].id: "body"}
    conditions: list[str] = []
    try:
        for step in way[1:-1]:
            _pass(zap, step, outputs, conditions)
        route.when = all_of(conditions) or None
        route.carried = carry(last, outputs, variables)
    except NoConnector as error:
        route.problem, route.verdict = redact(str(error)), "needs a connector"
    except Untranslatable as error:
        route.problem, route.verdict = redact(str(error)), "needs a decision"
    return route


def _pass(zap: Zap, step: Step, outputs: dict[str, str], conditions: list[str]) -> None:
    """Take a step on the way to an action into account.

    Raises:
        Untranslatable: what follows it cannot be carried over.
    """
    if step.app in _WHY:
        raise Untranslatable(_WHY[step.app])
    if step.app.startswith(("zapierformatter", "formatter")):
        try:
            outputs[step.id] = formatted(step.params, outputs)
        except Untranslatable:
            return  # told where a later step uses it
    elif _is_fallback(step) and not _rules(step):
        others = [other for other in _siblings(zap, step) if _rules(other)]
        conditions += [f"not ({condition(_rules(other), outputs)})" for other in others]
    elif _is_filter(step):
        conditions.append(condition(_rules(step), outputs))


def all_of(conditions: Iterable[str]) -> str:
    """Return the condition that holds where all of these do; empty ones are left out."""
    texts = [text for text in conditions if text]
    return " and ".join(f"({text})" for text in texts) if len(texts) > 1 else "".join(texts)


def _siblings(zap: Zap, step: Step) -> list[Step]:
    parent = zap.steps.get(step.parent or "")
    return [other for other in zap.children(parent) if other.id != step.id] if parent is not None else []
