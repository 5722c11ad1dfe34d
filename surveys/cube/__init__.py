"""Axes beside the two of the sky: which channels, times and polarizations of a cube a filter selects.

`ranges.axis_ranges` is the way in. May import: surveys.sky and the values of the engine.
"""
