"""Axes beside the two of the sky: which channels, times and polarizations of a cube a filter selects.

May import: surveys.sky and the values of the engine.
"""
