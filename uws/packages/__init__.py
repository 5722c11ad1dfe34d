"""Packages: what the rows of a job came to, as tables, and all files of a job as one archive.

A job type says how its rows are told (`uws.packages.package`); the rest is the same for all.
"""
