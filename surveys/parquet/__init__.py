"""Parquet: from a file of a lake to the bytes of one value in it, and nothing else of the file.

Files are found and read in `files`, whether they are in a folder (`local`) or far away (`remote`); `footer`
and `pages` tell where the values of a column lie, once, when a file is indexed; `source` takes one of them
out of its page (`values`), or by a look into a large one (`peek`). It knows no alert, no index and no FITS.
May import: surveys.kernels, and what a survey is.
"""
