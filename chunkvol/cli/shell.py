"""The verb for the shell: completion."""

from __future__ import annotations

import click

_NAMES = {
    "complete_func": "_chunkvol_completion",
    "complete_var": "_CHUNKVOL_COMPLETE",
    "prog_name": "chunkvol",
}

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print shell code for completion; put it in your start-up file.

    \b
    Example:
      chunkvol completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is not None:
        group = context.find_root().command
        click.echo(kind(group, {}, "chunkvol", _NAMES["complete_var"]).source_template % _NAMES)
