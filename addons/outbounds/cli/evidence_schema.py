"""`outbounds evidence schema`: the format of what is recorded, and of what is exported."""

from __future__ import annotations

import json

import click

from ..evidence.ocsf_schema import ocsf_schema
from ..evidence.schema import record_schema


@click.command()
@click.option("--ocsf", is_flag=True, help="Of what `outbounds evidence export --ocsf` writes.")
def schema(ocsf: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of a record: of its envelope, and of its detail."""
    click.echo(json.dumps(ocsf_schema() if ocsf else record_schema(), indent=2))
