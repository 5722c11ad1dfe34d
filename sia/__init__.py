"""SIA 2.0: which images and survey bands there are, found by what ObsCore says of them.

Sections are those of SIA 2.0 unless another document is named. May import: surveys, dali; Flask and Werkzeug
only in `responses` and `views`.
"""
