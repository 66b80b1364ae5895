"""`outbounds init`: the commented starter configuration, written where the operator wants it.

In a wheel it is packaged as `outbounds/starter/`; in a source tree it is the repository's own
config/, so that there is one copy and both ways give the same files. What is copied is named
here: a config/ that the proxy has run on holds accounts and evidence as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from ..settings.documents import FILES

SINGLE = ("README.md", *FILES)
FOLDERS = {"aup": (".yaml",), "lists": (".txt", ".md")}


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def init(directory: Path) -> None:
    """Write the commented starter configuration into DIR.

    Nothing is overwritten: if any of the files is there, none is written.
    """
    starter = dict(starter_files(starter_folder()))
    present = [name for name in starter if (directory / name).exists()]
    if present:
        raise click.ClickException(
            f"{directory} already has {', '.join(present)}; choose another folder, or move "
            "these away")
    for name, content in starter.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:  # x: nor what appeared since the look above
            file.write(content)
    click.echo(f"Wrote {len(starter)} files to {directory}; begin with {directory / 'README.md'}.")
    click.echo(f"Next: outbounds check --config {directory}, then "
               f"outbounds serve --config {directory}")


def starter_folder() -> Traversable:
    """The starter in the wheel, else the source tree's config/. Raises ClickException."""
    package = files("outbounds")
    packaged = package / "starter"
    if packaged.is_dir():
        return packaged
    source = Path(str(package)).parent.parent / "config"
    if (source / "outbounds.yaml").is_file():
        return source
    raise click.ClickException("this installation lacks its starter configuration; reinstall it")


def starter_files(folder: Traversable) -> Iterator[tuple[str, bytes]]:
    """Each starter file as (name below the folder, content)."""
    for name in SINGLE:
        yield name, (folder / name).read_bytes()
    for below, suffixes in FOLDERS.items():
        for entry in sorted((folder / below).iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(suffixes) and not entry.name.startswith("."):
                yield f"{below}/{entry.name}", entry.read_bytes()
