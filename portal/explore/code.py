"""A request as people write it down: a URL, a command, a few lines of Python. None has a token in it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from portal.explore.wish import Pairs, spelled

#: Where programs are told to look for a token, of surveys that are not for everybody.
VARIABLE = "FOUNTAIN_TOKEN"
_PYTHON_HEADER = f'{{"Authorization": "Bearer " + os.environ["{VARIABLE}"]}}'


def url_of(base_url: str, pairs: Pairs) -> str:
    """Write a request for an answer at once as a URL."""
    return f"{base_url}/sync?{spelled(pairs)}"


def code_of(base_url: str, pairs: Pairs, file_name: str, *, is_public: bool) -> Mapping[str, str]:
    """Write a request for an answer at once in all ways, by their names."""
    return {
        "url": url_of(base_url, pairs),
        "curl": _curl(base_url, pairs, is_public),
        "pyvo": _pyvo(base_url, pairs, file_name, is_public),
        "astropy": _astropy(base_url, pairs, file_name, is_public),
    }


def code_of_job(base_url: str, pairs: Pairs, *, is_public: bool) -> Mapping[str, str]:
    """Write a request for a job in all ways, by their names."""
    header = () if is_public else (f'  -H "Authorization: Bearer ${VARIABLE}" \\',)
    fields = [f"  --data-urlencode {shlex.quote(f'{name}={value}')} \\" for name, value in pairs]
    curl = ["curl -L \\", *header, *fields, "  -d PHASE=RUN \\", f"  {shlex.quote(f'{base_url}/async')}"]
    python = [
        *(() if is_public else ("import os", "")),
        "import requests",
        "",
        "session = requests.Session()",
        *(() if is_public else (f"session.headers.update({_PYTHON_HEADER})",)),
        "parameters = [",
        *(f"    ({_text(name)}, {_text(value)})," for name, value in pairs),
        "]",
        f'job = session.post({_text(f"{base_url}/async")}, data=[*parameters, ("PHASE", "RUN")]).url',
        'while (phase := session.get(f"{job}/phase").text) in ("QUEUED", "EXECUTING"):',
        '    session.get(job, params={"WAIT": 60, "PHASE": phase})',
        'print(phase, f"{job}/results")',
    ]
    return {"curl": "\n".join(curl), "python": "\n".join(python)}


def _curl(base_url: str, pairs: Pairs, is_public: bool) -> str:
    header = "" if is_public else f'-H "Authorization: Bearer ${VARIABLE}" '
    return f"curl -OJ {header}{shlex.quote(url_of(base_url, pairs))}"


def _pyvo(base_url: str, pairs: Pairs, file_name: str, is_public: bool) -> str:
    imports, session, argument = ["from pathlib import Path", ""], [], ""
    if not is_public:
        imports = ["import os", *imports, "import requests"]
        session = ["session = requests.Session()", f"session.headers.update({_PYTHON_HEADER})"]
        argument = ", session=session"
    gathered: dict[str, list[str]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    values = {name: given[0] if len(given) == 1 else given for name, given in gathered.items()}
    lines = [
        *imports,
        "from pyvo.dal.adhoc import SodaQuery",
        "",
        *session,
        f"query = SodaQuery({_text(f'{base_url}/sync')}{argument})",
        *(
            f"query[{_text(name)}] = {json.dumps(value, ensure_ascii=False)}"
            for name, value in values.items()
        ),
        f"Path({_text(file_name)}).write_bytes(query.execute_stream().read())",
    ]
    return "\n".join(lines)


def _astropy(base_url: str, pairs: Pairs, file_name: str, is_public: bool) -> str:
    imports = ["from astropy.utils.data import download_file"]
    headers = "" if is_public else f", http_headers={_PYTHON_HEADER}"
    url = _text(url_of(base_url, pairs))
    if file_name.endswith(".fits"):
        imports = ["from astropy.io import fits", *imports]
        opened = [
            f"with fits.open(download_file({url}{headers})) as hdus:",
            "    hdus.info()",
        ]
    else:
        imports = [*imports, "from PIL import Image"]
        opened = [f"with Image.open(download_file({url}{headers})) as image:", "    print(image.size)"]
    if not is_public:
        imports = ["import os", "", *imports]
    return "\n".join([*imports, "", *opened])


def _text(text: str) -> str:
    """Write a text as Python does: what JSON has is that, too."""
    return json.dumps(text, ensure_ascii=False)
