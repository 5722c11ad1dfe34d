"""Administration: an area is a page, the same as JSON, and acts, each written down with its reason.

Modules of areas look and act, and know no request; `views` alone reads those, `door` lets administrators
in. Whoever adds an area makes an `area.Area`, a template ``admin/<name>.html``, and names it in
``config/admin.py``.
"""
