"""Parquet: from a file of a lake to the bytes of one value in it, and nothing else of the file.

Files are found and read in `files`; `footer` and `pages` tell where the values of a column lie, once, when a
file is indexed; `values` takes one of them out of its page. It knows no alert, no index and no FITS.
"""
