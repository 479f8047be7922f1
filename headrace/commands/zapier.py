"""Leave Zapier: import Zaps, run beside it, compare, take over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.command_group import CommandGroup
from headrace.context import Settings
from headrace.options import with_settings
from headrace.times import Moment

if TYPE_CHECKING:
    from headrace.zapier.draft import Draft
    from headrace.zapier.parity import Parity

SHOWN_MAX = 50


@click.group(cls=CommandGroup)
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
    from headrace.zapier.carried import Variables
    from headrace.zapier.credentials import credentials_in
    from headrace.zapier.draft import draft_table
    from headrace.zapier.export import read_export
    from headrace.zapier.plan import plan_zap
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


@command.command("parity")
@click.option(
    "--history",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What the old system did: Zapier's task history (CSV, JSON), or recorded requests, one JSON object a line.",
)
@click.option("--route", required=True, help="The route in shadow mode.")
@click.option("--since", type=Moment(), help="Of events accepted at this time or later, or within this age: 2h, 3d.")
@click.option("--key", help="Calls are one if they hold the same in this field, such as customer.id.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share that must match.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def parity_(
    settings: Settings,
    *,
    files: tuple[Path, ...],
    route: str,
    since: int | None,
    key: str | None,
    threshold: float,
    as_json: bool,
) -> None:
    """Compare what ROUTE would have called with what the old system did.

    Ends with 1 if fewer calls matched than --threshold says. A catch hook's 200 proves nothing: the history is what the
    old system says that it did.
    """
    import asyncio
    from dataclasses import asdict

    from headrace.zapier.parity import compare
    from headrace.zapier.shadow_calls import calls_of_history, calls_of_shadows

    ours = asyncio.run(calls_of_shadows(settings, route, since_ms=since, files=files))
    theirs = calls_of_history(files, since_ms=since)
    found = compare(ours, theirs, key=key)
    if as_json:
        import orjson

        shown = {**asdict(found), "total": found.total, "share": round(found.share, 6)}
        click.echo(orjson.dumps(shown).decode())
    else:
        _print_parity(found)
    if found.share < threshold:
        raise click.exceptions.Exit(1)


def _print_parity(found: Parity) -> None:
    from headrace.text_table import text_table

    rows = [
        ("matched", str(found.matched)),
        ("different", str(len(found.different))),
        ("only ours", str(len(found.only_ours))),
        ("only theirs", str(len(found.only_theirs))),
    ]
    for line in text_table(("RESULT", "CALLS"), rows):
        click.echo(line)
    for difference in found.different[:SHOWN_MAX]:
        click.echo(f"different: {difference.ours} and {difference.theirs}")
        for path, (ours, theirs) in difference.fields.items():
            click.echo(f"    {path}: ours {ours or '-'}, theirs {theirs or '-'}")
    for what, labels in (("only ours", found.only_ours), ("only theirs", found.only_theirs)):
        for label in labels[:SHOWN_MAX]:
            click.echo(f"{what}: {label}")
    if max(len(found.different), len(found.only_ours), len(found.only_theirs)) > SHOWN_MAX:
        click.echo(f"(the first {SHOWN_MAX} of each; --json has them all)")
    click.echo(f"{found.share:.2%} of {found.total} calls matched")


@command.command("cutover")
@click.argument("route")
@click.option("--percent", type=click.FloatRange(0, 100), help="How much; without it 10, 50, then 100.")
@click.option("--back", is_flag=True, help="The way back: to 0, or to --percent.")
@click.option("--in", "lead_s", type=click.IntRange(10, 86_400), default=120, show_default=True, help="Seconds.")
@click.option("--dry-run", is_flag=True, help="Say what would be written.")
@with_settings
def cutover(settings: Settings, *, route: str, percent: float | None, back: bool, lead_s: int, dry_run: bool) -> None:
    """Write the next step of ROUTE into the routing table: so many percent of its events, from a time ahead on.

    Reload the workers before that time (SIGHUP). The route's mirror carries the rest, and no event goes both ways.
    """
    import time

    from headrace.zapier.takeover import next_step, write_table

    now_s = time.time()
    step = next_step(settings.config_path, route, percent=percent, back=back, begins_s=now_s + lead_s, now_s=now_s)
    if not dry_run:
        write_table(settings.config_path, step.text)
    click.echo(f"{route}: {step.percent_now:g} % now, {step.percent:g} % of events accepted from {step.begins} on")
    if step.dropped:
        click.echo(f"{step.dropped} steps that had not begun are gone")
    click.echo("nothing was written (--dry-run)" if dry_run else "reload every worker before then (SIGHUP)")


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
