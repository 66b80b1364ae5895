"""`outbounds case`: an investigation, from the first note to the bundle that a court is given."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Table

_COMMANDS: Table = {
    "open": ("case_open.open_case", "Open a case."),
    "list": ("case_list.list_cases", "Show all cases."),
    "show": ("case_show.show_case", "Show what a case holds, and who did what in it."),
    "add": ("case_add.add", "Add what a search of the log finds."),
    "note": ("case_note.note", "Write down something, from standard input."),
    "hold": ("case_hold.hold", "Keep records from retention and erasure."),
    "release": ("case_hold.release", "Take back a hold."),
    "capture": ("case_capture.capture", "Keep what requests and answers hold, encrypted."),
    "export": ("case_export.export_case", "Write the bundle that is handed on."),
    "verify": ("case_verify.verify", "Check a bundle, anywhere."),
    "close": ("case_close.close", "Close a case."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def case() -> None:
    """Cases: records that belong together, kept while they are needed, and handed on with proofs.

    What is done to a case is in the evidence log before it is done.
    """
