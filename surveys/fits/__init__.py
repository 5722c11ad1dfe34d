"""FITS: from the bytes of an image's file to the bytes of a cutout's.

Headers are patched as text, pixels copied as they are stored. It knows plans, which say what to read, and
nothing of the index.
"""
