"""Several images of one band onto one grid of pixels: where they lie, what they weigh, how they are joined.

May import: surveys.index, surveys.fits, surveys.kernels, surveys.sky and the values of the engine.
"""
