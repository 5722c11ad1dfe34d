"""The log of the whole process, as settings have it."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAILING = """
import logging, structlog
from config.logs import configure_logs
from config.settings import LogSettings

def connect(url):
    words = url.split()
    raise ValueError("it does not answer")

configure_logs(LogSettings("info", "{form}"))
try:
    connect("redis://:" + "".join(["hun", "ter2"]) + "@example.org")  # lines of the program may be shown
except ValueError:
    structlog.get_logger().exception("ours")
    logging.getLogger("library").exception("of a library")
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_has_no_values_of_variables(form: str) -> None:
    """13.3.1: passwords are among them."""
    script = FAILING.replace("{form}", form)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr.count("it does not answer") >= 2
    assert ran.stderr.count("connect") >= 2
    assert "hunter" not in ran.stderr
    assert ran.stdout == ""
