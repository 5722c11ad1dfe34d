"""Compiled loops over pixels, each beside a twin in plain numpy that tests compare it with.

Importing a module of this package imports numba, so only what works on many pixels does. Kernels are
compiled when the program is installed or first started, are kept on disk, never hold the GIL, and never start
threads of their own. They know arrays of numbers and nothing else.
May import: nothing of ours.
"""
