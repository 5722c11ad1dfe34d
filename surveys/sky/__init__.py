"""Shapes on the sky and boxes of pixels: the only home of their conventions.

Sky positions are ICRS degrees, pixel boxes are 0-based and half-open. Of the engine it knows the values of
`surveys.image` and the errors.
"""
