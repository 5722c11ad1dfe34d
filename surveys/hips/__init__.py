"""A survey band as a HiPS, for sky viewers: its tiles, made by the one engine, and what describes them.

May import: all of surveys.
"""
