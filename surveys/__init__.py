"""The engine: images of sky surveys in, cutouts out.

It knows numpy, astropy and a SQL image index; it knows no protocol, no web framework and no queue.
May import: nothing of ours.
"""
