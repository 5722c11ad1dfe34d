"""Kernels are compiled once, by whoever starts the program first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.kernels import MODULES, compile_kernels

SOURCES = Path(__file__).parents[2]


def start(cache: Path) -> subprocess.Popen[str]:
    """Start a program that has its kernels compiled, and says whether it did that itself."""
    code = (
        "import sys; from config.kernels import compile_kernels; compile_kernels(print); "
        "print(any(name in sys.modules for name in ('numba', 'llvmlite')))"
    )
    environ = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(SOURCES)}
    return subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)


def started(cache: Path) -> list[str]:
    """What such a program says."""
    said, _ = start(cache).communicate()
    return said.splitlines()


@pytest.mark.deployment
def test_kernels_are_compiled_at_the_first_start_alone(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "old").mkdir(parents=True)
    (cache / "old" / "kernel.nbc").write_bytes(b"of another version")
    both = [start(cache), start(cache)]
    said = sorted(program.communicate()[0].splitlines() for program in both)
    assert said == [["False"], ["compiling what works on pixels; this is done once", "False"]]
    kept = set(cache.rglob("*.nbc"))
    assert kept, "numba kept nothing"
    assert cache / "old" / "kernel.nbc" not in kept
    assert started(cache) == ["False"]
    assert set(cache.rglob("*.nbc")) == kept


def test_every_module_of_kernels_can_warm_up() -> None:
    from importlib import import_module

    assert all(callable(import_module(name).warm_up) for name in MODULES)


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("config.kernels.subprocess.run", lambda *arguments, **options: None)
    said: list[str] = []
    compile_kernels(said.append)
    assert said
