"""VOSI 1.1: what the service can do, and whether it can do it now. It is handed all that it describes.

May import: dali; Flask and Werkzeug only in `responses` and `views`.
"""
