"""`participation dlq`: look at the dead-letter queue, and bring messages back."""

import typer

app = typer.Typer(help="The dead-letter queue.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `dlq` a group of commands."""
