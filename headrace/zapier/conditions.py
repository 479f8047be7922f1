"""Zapier's filters and path rules as conditions: ``when``.

A rule list is either flat, with the number of its group in each rule, or a list of groups: the rules of a group hold
all at once, and one group is enough. A field that is not there is empty, as it is to Zapier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from headrace.zapier.references import Outputs, Untranslatable, expression, has_reference, quoted

RULES_MAX = 200

_WHOLE = re.compile(r"\s*\{\{\s*(.+?)\s*\}\}\s*", re.DOTALL)
_PLACE = re.compile(r"\{([xvn])\}")
_NUMBER = re.compile(r"\s*-?[0-9]{1,15}(?:\.[0-9]{1,9})?\s*", re.ASCII)

# By Zapier's own names, without case, underscores and what stands before them. {x} is the field, {v} the value.
_TESTS = {
    "exact": "{x} | string == {v}",
    "equals": "{x} | string == {v}",
    "is": "{x} | string == {v}",
    "iexact": "{x} | string | lower == {v} | lower",
    "contains": "{v} in {x} | string",
    "icontains": "{v} | lower in {x} | string | lower",
    "startswith": "({x} | string).startswith({v})",
    "endswith": "({x} | string).endswith({v})",
    "in": "{x} | string in {v}.split(',')",
    "gt": "{x} | float > {n}",
    "greaterthan": "{x} | float > {n}",
    "gte": "{x} | float >= {n}",
    "lt": "{x} | float < {n}",
    "lessthan": "{x} | float < {n}",
    "lte": "{x} | float <= {n}",
    "exists": '{x} | string != ""',
    "booltrue": "{x} | string | lower in ['true', '1', 'yes', 'on', 't', 'y']",
    "istrue": "{x} | string | lower in ['true', '1', 'yes', 'on', 't', 'y']",
    "true": "{x} | string | lower in ['true', '1', 'yes', 'on', 't', 'y']",
    "boolfalse": "{x} | string | lower in ['false', '0', 'no', 'off', 'f', 'n', '']",
    "isfalse": "{x} | string | lower in ['false', '0', 'no', 'off', 'f', 'n', '']",
    "false": "{x} | string | lower in ['false', '0', 'no', 'off', 'f', 'n', '']",
    "dateafter": "{x} | unix > {v} | unix",
    "datebefore": "{x} | unix < {v} | unix",
}
_KINDS = ("", "text", "number", "string", "boolean", "datetime")  # what Zapier's form puts before a test's name
_SYNONYMS = {
    "doesnotexist": "notexists",
    "isnot": "notexact",
    "doesnotcontain": "notcontains",
    "notequals": "notexact",
    "datetimeafter": "dateafter",
    "datetimebefore": "datebefore",
    "after": "dateafter",
    "before": "datebefore",
    "isin": "in",
    "doesnotstartwith": "notstartswith",
    "doesnotendwith": "notendswith",
}


def condition(rules: object, outputs: Outputs) -> str:
    """Return the condition for the rules of a filter.

    Raises:
        Untranslatable: there are none, or one is of a kind that is not known.
    """
    groups = _groups(rules)
    texts = [" and ".join(f"({_test(rule, outputs)})" for rule in group) for group in groups]
    return texts[0] if len(texts) == 1 else " or ".join(f"({text})" for text in texts)


def _groups(rules: object) -> list[list[Mapping[str, Any]]]:
    if isinstance(rules, dict):
        rules = list(rules.values())
    if not isinstance(rules, list) or not rules or len(rules) > RULES_MAX:
        raise Untranslatable("a filter without rules that can be read")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for number, rule in enumerate(rules):
        if isinstance(rule, list):
            members, group = rule, f"list {number}"
        else:
            members, group = [rule], str(rule.get("group", "")) if isinstance(rule, dict) else ""
        for member in members:
            if not isinstance(member, dict):
                raise Untranslatable("a rule of a filter that cannot be read")
            groups.setdefault(group, []).append(member)
    found = [group for group in groups.values() if group]
    if not found:
        raise Untranslatable("a filter without rules that can be read")
    return found


def _test(rule: Mapping[str, Any], outputs: Outputs) -> str:
    key = str(rule.get("key", rule.get("field", "")))
    match = _WHOLE.fullmatch(key) if has_reference(key) else None
    reference = match[1] if match else key
    if not reference:
        raise Untranslatable("a rule of a filter without a field")
    field = expression(reference, outputs, missing="''")
    name = re.sub(r"[^a-z]", "", str(rule.get("match", rule.get("operator", ""))).lower())
    for prefix in _KINDS:
        plain = name.removeprefix(prefix)
        if plain in _TESTS or plain in _SYNONYMS or plain.removeprefix("not") in _TESTS:
            name = plain
            break
    name = _SYNONYMS.get(name, name)
    negated = name not in _TESTS and name.startswith("not")
    form = _TESTS.get(name.removeprefix("not") if negated else name)
    if form is None:
        raise Untranslatable("a rule of a filter of a kind that is not known")
    given = {"x": field}
    if "{n}" in form:
        given["n"] = str(rule.get("value", "")).strip()
        if not _NUMBER.fullmatch(given["n"]):
            raise Untranslatable("a filter compares with something that is no number")
    elif "{v}" in form:
        given["v"] = _value(rule.get("value"), outputs)
    text = _PLACE.sub(lambda match: given[match[1]], form)
    return f"not ({text})" if negated else text


def _value(value: object, outputs: Outputs) -> str:
    text = "" if value is None else str(value)
    match = _WHOLE.fullmatch(text) if has_reference(text) else None
    if match:
        return f"({expression(match[1], outputs, missing=chr(39) * 2)} | string)"
    if has_reference(text):
        raise Untranslatable("a filter compares with a text that is put together")
    return quoted(text)
