"""`outbounds completion SHELL`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog='bash: eval "$(outbounds completion bash)" in ~/.bashrc; zsh: the same '
                      "with zsh in ~/.zshrc; fish: outbounds completion fish | source in "
                      "config.fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    root = ctx.find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root.command, {}, "outbounds", "_OUTBOUNDS_COMPLETE").source())
