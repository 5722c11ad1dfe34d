"""The index of alerts: which row of which file each of them is in, and where the pages of its stamps lie.

`ingest` writes it, `catalog` reads it.
"""
