"""What the protocols share: parameters, the grammar of their values, errors and how they are written.

Sections are those of DALI 1.1 unless another document is named. May import: nothing of ours; Flask and
Werkzeug only in `responses` and `views`.
"""
