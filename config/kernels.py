"""The compiled kernels: compiled when the program is first started, loaded before a request needs them.

numba keeps what it compiled on disk, for this version of the code and of numba and for this kind of
processor. To compile takes most of a minute, to load a second or two. A file beside the compiled code tells
that it is all there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import Timer

import surveys.kernels

#: Modules whose `warm_up` compiles or loads kernels.
MODULES = (
    "surveys.fits.compressed",
    "surveys.fits.missing",
    "surveys.kernels.resample",
    "surveys.kernels.area",
    "surveys.kernels.snappy",
    "surveys.picture.render",
)


def load_kernels() -> None:
    """Load all kernels into this process; those that are not on disk are compiled first."""
    for name in MODULES:
        import_module(name).warm_up()


def load_kernels_soon(after_s: float, afterwards: Callable[[], object] = lambda: None) -> None:
    """Load all kernels a little later, in a thread of its own, then call `afterwards`."""

    def load() -> None:
        load_kernels()
        afterwards()

    timer = Timer(after_s, load)
    timer.daemon = True
    timer.start()


def compile_kernels(say: Callable[[str], object]) -> None:
    """Compile the kernels unless that was done before.

    It is done in a process of its own: this one may fork later, and has no use for a compiler.

    Parameters
    ----------
    say
        Told what takes the time, if it is done.

    Raises
    ------
    CalledProcessError
        If a kernel cannot be compiled.
    """
    done = _stamp()
    if done is None:
        _compile(say)
        return
    if done.exists():
        return
    with done.with_name("compiling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several who start, one compiles; let go of when it is closed
        if not done.exists():
            # numba looks for changes of a kernel in its own file alone, and not in those it calls.
            for kept in done.parent.rglob("*.nb[ic]"):
                kept.unlink()
            _compile(say)
            done.touch()


def _compile(say: Callable[[str], object]) -> None:
    say("compiling what works on pixels; this is done once")
    subprocess.run(  # this very program
        [sys.executable, "-c", "from config.kernels import load_kernels; load_kernels()"], check=True
    )


def _stamp() -> Path | None:
    """Where it is noted that everything is compiled; None where nothing can be kept."""
    sources = Path(surveys.kernels.__file__).parent
    kept = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(kept) if kept else sources / "__pycache__"
    facts = [version("numba"), version("numpy"), sys.version, platform.node(), str(folder), *MODULES]
    facts += [str(path.stat().st_mtime_ns) for path in sorted(sources.glob("*.py"))]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / f"compiled-{digest}" if os.access(folder, os.W_OK) else None
