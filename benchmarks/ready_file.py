"""``python -m benchmarks.ready_file FILE TILE PORT``: the service's own server with plainer applications.

``/sync`` sends a ready file, ``/astropy/N`` cuts the N-th position out of a tile with astropy.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flask import Flask, Response, send_file

from benchmarks.cutouts import SIZE, with_cutout2d
from config.app import create_app
from config.server import Server, open_socket
from config.settings import load_settings


class ReadyFile(Server):
    """The same server with another application."""

    path, tile = Path(), Path()

    def load(self) -> Flask:
        """Make an application of two views that do nothing else."""
        app = Flask("ready-file")
        cut = with_cutout2d(self.tile, SIZE)
        app.extensions |= create_app(load_settings()).extensions

        @app.get("/sync")
        def ready() -> Response:
            return send_file(self.path, mimetype="application/fits")

        @app.get("/astropy/<int:number>")
        def naive(number: int) -> Response:
            return Response(cut(number), mimetype="application/fits")

        return app


if __name__ == "__main__":
    ReadyFile.path, ReadyFile.tile = Path(sys.argv[1]), Path(sys.argv[2])
    ReadyFile(load_settings(), open_socket("127.0.0.1", int(sys.argv[3]), or_next=False)).run()
