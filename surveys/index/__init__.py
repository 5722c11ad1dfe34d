"""The image index: every header is read once, when files arrive, and never again when they are cut.

`ingest` writes it, `catalog` reads it. It imports nothing of ours but the engine itself.
"""
