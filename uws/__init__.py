"""UWS 1.1: jobs of any kind, their tasks, their results. It knows no sky.

The database is the truth, Redis the doorbell: jobs, tasks, claims and results live in SQL (`store`), RQ only
wakes workers (`bell`). Sections in the modules are those of the standard.

May import: dali; Flask and Werkzeug only in `responses` and `views`, RQ and Redis only in `bell`.
"""
