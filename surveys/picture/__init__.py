"""Pixels into pictures: levels, curves, colours, orientation, marks on them, PNG and JPEG.

May import: surveys.mosaic and what that may; no web, no protocol.
"""
