"""`derain engine verify`: exit code 1 where a plan was touched."""

import click

from derain.pipeline.commands.engine_words import count, facts, json_option, kept_entries, line, show_json


@click.command("verify")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Compare each plan with what was built; the exit code is 1 where one was touched."""
    entries = kept_entries()
    touched = [entry for entry in entries if entry.refusal]
    if as_json:
        show_json({"plans": len(entries), "touched": [facts(entry) for entry in touched]})
    else:
        for entry in touched:
            click.echo(line(entry))
        click.echo(f"{count(len(entries))}, {len(touched)} of them not as built")
    ctx.exit(1 if touched else 0)
