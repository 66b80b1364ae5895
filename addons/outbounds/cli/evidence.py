"""`outbounds evidence`: reading the log, proving it, keeping it."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Table

_COMMANDS: Table = {
    "search": ("evidence_search.search", "Search the records."),
    "reindex": ("evidence_reindex.reindex", "Make indexes anew that are missing or damaged."),
    "erase": ("evidence_erase.erase", "Erase the details of one account's records."),
    "seal": ("evidence_seal.seal", "Seal what has been recorded, now."),
    "status": ("evidence_status.status", "Show how the log stands."),
    "verify": ("evidence_verify.verify_command", "Verify the log: is it what was signed?"),
    "prove": ("evidence_prove.prove", "Prove that a record is in the log; check such a proof."),
    "publish": ("evidence_publish.publish_command", "Write the log as files for monitors."),
    "keys": ("evidence_keys.keys", "Show the signing keys; replace the one in force."),
    "witness": ("evidence_witness.witness", "Show what each witness has seen of the log."),
    "ship": ("evidence_ship.ship", "Show what the object store has of the log; send it now."),
    "export": ("evidence_export.export", "Write events for another system (OCSF)."),
    "schema": ("evidence_schema.schema", "Print the JSON Schema of records, or of the export."),
    "tail": ("evidence_tail.tail", "Show the newest records, one a line."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def evidence() -> None:
    """The evidence log: what was recorded, and that it is what was recorded."""
