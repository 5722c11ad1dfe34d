"""``python -m benchmarks.ready_file FILE PORT``: the service's own server, sending one ready file."""

from __future__ import annotations

import sys
from pathlib import Path

from flask import Flask, Response, send_file

from config.app import create_app
from config.server import Server, open_socket
from config.settings import load_settings


class ReadyFile(Server):
    """The same server with another application."""

    path = Path()

    def load(self) -> Flask:
        """Make an application that sends a file with Flask's `send_file` and does nothing else."""
        app = Flask("ready-file")
        app.extensions |= create_app(load_settings()).extensions

        @app.get("/sync")
        def ready() -> Response:
            return send_file(self.path, mimetype="application/fits")

        return app


if __name__ == "__main__":
    ReadyFile.path = Path(sys.argv[1])
    ReadyFile(load_settings(), open_socket("127.0.0.1", int(sys.argv[2]), or_next=False)).run()
