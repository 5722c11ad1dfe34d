"""DataLink 1.1: from the identifier of a dataset to its files and services. Sections are of that document.

May import: surveys, dali; Flask and Werkzeug only in `views`. What can be cut, and how, is handed in.
"""
