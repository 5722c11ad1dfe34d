"""Aladin Lite, the sky viewer of the CDS in Strasbourg: fetched once, kept as it comes, served to browsers.

It is no part of this program (its licence is the GPL): pages work without it, and show more with it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from config.terminal import read_settings

VERSION = "3.8.2"
PACKAGE = f"aladin-lite@{VERSION}"
SCRIPT = "aladin.js"
#: Of the script as it was published: whatever it comes from, nothing else is served.
SCRIPT_SHA256 = "bed9c8ef1d1e83501b1cb782366092c72c5ecd1c88f16fef3166188ae8062066"
LICENCES = ("LICENSE", "COPYING", "COPYING.LESSER")
NPM_TIMEOUT_S = 90


class NotAladin(Exception):
    """What was given, or fetched, is not what is served."""


def folder_of(data: Path) -> Path:
    """Give where it is kept, in a data folder."""
    return data / "aladin" / VERSION


def is_there(data: Path) -> bool:
    """Whether it can be served."""
    return (folder_of(data) / SCRIPT).is_file()


def install(data: Path, source: Path) -> Path:
    """Keep the package, which lies unpacked in a folder, in a data folder.

    Raises
    ------
    NotAladin
        If it is another version, or was changed.
    """
    script = source / "dist" / SCRIPT
    if not script.is_file():
        raise NotAladin(f"{source} is no package of Aladin Lite: it has no dist/{SCRIPT}")
    if hashlib.sha256(script.read_bytes()).hexdigest() != SCRIPT_SHA256:
        raise NotAladin(f"{script} is not the script of {PACKAGE}, or it was changed")
    folder = folder_of(data)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".new-") as made:
        new = Path(made) / VERSION
        new.mkdir(mode=0o755)
        shutil.copyfile(script, new / SCRIPT)
        for name in LICENCES:
            if (source / name).is_file():
                shutil.copyfile(source / name, new / name)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    return folder


def unpacked(archive: Path, into: Path) -> Path:
    """Unpack a package as npm has them; give the folder it is in."""
    try:
        with tarfile.open(archive) as package:
            package.extractall(into, filter="data")
    except tarfile.TarError as fault:
        raise NotAladin(f"{archive} is no package: {fault}") from fault
    return into / "package"


def fetch(into: Path) -> Path:
    """Fetch the package with npm, which compares it with the checksum of its registry.

    Raises
    ------
    NotAladin
        If it cannot be fetched.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NotAladin("npm is not there; fetch the package elsewhere, and give the file")
    command = [npm, "pack", PACKAGE, "--pack-destination", str(into), "--fetch-retries=1", "--silent"]
    try:
        subprocess.run(  # noqa: S603  # a command of our own
            command, check=True, timeout=NPM_TIMEOUT_S, capture_output=True, cwd=into
        )
    except subprocess.TimeoutExpired as fault:
        raise NotAladin("npm does not come to an end") from fault
    except subprocess.CalledProcessError as fault:
        raise NotAladin(
            f"npm cannot fetch {PACKAGE}: {fault.stderr.decode(errors='replace').strip()}"
        ) from fault
    return next(into.glob("*.tgz"))


def get(data: Path, source: Path | None, say: Callable[[str], object]) -> None:
    """Have it in a data folder; nothing is done where it is there, and nothing else is given."""
    if source is None and is_there(data):
        say(f"Aladin Lite {VERSION} is there: {folder_of(data)}")
        return
    with TemporaryDirectory() as made:
        work = Path(made)
        is_folder = source is not None and source.is_dir()
        package = source if source is not None and is_folder else unpacked(source or fetch(work), work)
        say(f"Aladin Lite {VERSION}: {install(data, package)}")


@click.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True), required=False)
def aladin(package: Path | None) -> None:
    """Fetch Aladin Lite, with which the explorer shows the sky; the explorer works without it too.

    It is fetched with npm, or taken from PACKAGE: the file that `npm pack aladin-lite@3.8.2` makes elsewhere,
    or the folder that it unpacks to. It is served as it is, with its licence (GPL), from the data folder.
    """
    try:
        get(read_settings().data.path, package, click.echo)
    except NotAladin as fault:
        raise click.ClickException(str(fault)) from fault
