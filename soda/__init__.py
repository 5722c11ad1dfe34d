"""SODA 1.0: stencils and filters in, cutout out. Sections in the modules are those of that document.

May import: surveys, dali; Flask and Werkzeug only in `responses` and `views`.
"""
