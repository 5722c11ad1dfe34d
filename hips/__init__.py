"""HiPS and MOC: surveys as sky viewers take them.

May import: surveys, dali; Flask and Werkzeug only in `views`.
"""
