"""Leave Zapier: import Zaps, run beside it, compare, take over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from headrace.zapier.draft import Draft


@click.group
def command() -> None:
    """Leave Zapier: import Zaps, run beside it, compare, take over."""


@command.command("import")
@click.argument("export", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write; stdout without.")
@click.option(
    "--history", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Task history."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object a Zap.")
@with_settings
def import_(
    _settings: Settings, *, export: Path, output: Path | None, history: tuple[Path, ...], force: bool, as_json: bool
) -> None:
    """Make a routing table of EXPORT, a ZIP or Zapfile.json of Zapier, and report on each Zap.

    The table is valid; what could not be carried over is a comment in it that says why. No credential is carried over.
    The report goes to stderr if the table goes to stdout.
    """
    from headrace.zapier.credentials import credentials_in
    from headrace.zapier.draft import draft_table
    from headrace.zapier.export import read_export
    from headrace.zapier.plan import plan_zap
    from headrace.zapier.services import Variables
    from headrace.zapier.task_history import read_history, tasks_a_month
    from ingest.scheme import scheme_names

    if output is not None and output.exists() and not force:
        raise click.UsageError(f"{output} is there already: --force replaces it")
    found = read_export(export)
    monthly = tasks_a_month(read_history(history)) if history else {}
    variables = Variables()
    for zap in found.zaps:
        for step in zap.steps.values():
            variables.credentials.update(credentials_in(dict(step.params)))
    draft = draft_table([plan_zap(zap, variables, schemes=scheme_names()) for zap in found.zaps], variables)
    text = draft.text()
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
    _report(draft, monthly, as_json=as_json, err=output is None)
    if found.unreadable:
        click.echo(f"{found.unreadable} entries of the export are no Zaps and were passed over", err=True)
    if output is not None:
        click.echo(f"wrote {output}: read its comments, then headrace --config {output} check", err=True)


def _report(draft: Draft, monthly: dict[str, int], *, as_json: bool, err: bool) -> None:
    rows = [_row(draft, plan, monthly) for plan in draft.plans]
    if as_json:
        import orjson

        for row in rows:
            click.echo(orjson.dumps(row).decode(), err=err)
        return
    from headrace.text_table import text_table

    header = ("ZAP", "RESULT", "ROUTES", *(("TASKS A MONTH",) if monthly else ()), "WHY")
    lines = [
        (
            row["zap"],
            row["result"],
            str(len(row["routes"])),
            *((str(row["tasks_a_month"] or 0),) if monthly else ()),
            row["why"][0] if row["why"] else "",
        )
        for row in rows
    ]
    for line in text_table(header, lines):
        click.echo(line, err=err)
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["result"]] = totals.get(row["result"], 0) + 1
    click.echo(", ".join(f"{count} {result}" for result, count in sorted(totals.items())) or "no Zaps", err=err)


def _row(draft: Draft, plan: Any, monthly: dict[str, int]) -> dict[str, Any]:
    from headrace.zapier.credentials import without

    return {
        "zap": without(plan.title, draft.variables.credentials),
        "result": plan.verdict,
        "trigger": plan.trigger,
        "routes": [name for name, (_, owner, _) in draft.routes.items() if owner is plan],
        "tasks_a_month": monthly.get(plan.zap.title, monthly.get(plan.zap.id)),
        "why": [without(reason, draft.variables.credentials) for reason in plan.reasons],
    }
