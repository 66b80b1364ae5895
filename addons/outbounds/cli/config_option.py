"""The option `--config`, the same for every command that needs a configuration."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config", "config_dir", envvar="OUTBOUNDS_CONFIG", default="config", show_default=True,
    metavar="DIR", type=click.Path(path_type=Path),
    help="The configuration's folder; also $OUTBOUNDS_CONFIG.")
