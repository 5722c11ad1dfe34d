"""Programs and schemas nobody here wrote; a test is skipped, with the reason, where one is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from lxml import etree

#: Errors of a document against the schema of its namespace.
Validate = Callable[[bytes], list[str]]

_RECORD_SCHEMA = b"""
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:vr="http://www.ivoa.net/xml/VOResource/v1.0"
    targetNamespace="http://www.ivoa.net/xml/RegistryInterface/v1.0">
  <xs:import namespace="http://www.ivoa.net/xml/VOResource/v1.0" schemaLocation="VOResource-v1.1.xsd"/>
  <xs:import namespace="http://www.ivoa.net/xml/VODataService/v1.1" schemaLocation="VODataService-v1.2.xsd"/>
  <xs:element name="Resource" type="vr:Resource"/>
</xs:schema>
"""


def schemas() -> ModuleType:
    """Validator of the IVOA schemas: in FOUNTAIN_TEST_SCHEMAS, else ``../shared/schemas``."""
    repository = Path(__file__).resolve().parent.parent.parent
    folder = Path(os.environ.get("FOUNTAIN_TEST_SCHEMAS", repository.parent / "shared" / "schemas"))
    script = folder / "validate.py"
    if not script.is_file():
        pytest.skip("the folder with IVOA schemas is not here (FOUNTAIN_TEST_SCHEMAS names it)")
    spec = importlib.util.spec_from_file_location("validate", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record_validator(module: ModuleType) -> Validate:
    """Validator of registry records; RegistryInterface itself adds no more than the root element."""
    driver = etree.fromstring(_RECORD_SCHEMA, module._parser(), base_url=f"{module.HERE}/record.xsd")
    schema = etree.XMLSchema(etree.ElementTree(driver))

    def validate(document: bytes) -> list[str]:
        return [] if schema.validate(etree.fromstring(document)) else [str(e) for e in schema.error_log]

    return validate


def stilts(task: str, **parameters: str) -> list[str]:
    """Complaints of a STILTS validator."""
    program = shutil.which("stilts")
    if program is None:
        pytest.skip("stilts is not installed (a Debian package)")
    words = [f"{name}={value}" for name, value in parameters.items()]
    done = subprocess.run([program, task, *words], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0 or done.stdout, done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    marks = ("E-", "W-", "F-") if task == "datalinklint" else ("ERROR", "WARNING")
    return [line for line in lines if line.startswith(marks)]
