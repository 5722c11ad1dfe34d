"""Pages for people: rendered here from templates, without a build step, and without scripts that they need.

A page extends ``base.html`` and is rendered by `pages.Pages`, which knows its frame: title, navigation, who
is signed in, announcements. Every text goes through ``_()``. The one style sheet is ``static/portal.css``.

May import: accounts, soda, uws, surveys, dali. Nothing but config imports it.
"""
