"""Who is asking, and what they may do: accounts, ways to sign in, groups, rights, quotas.

May import: dali; Flask and Werkzeug only in `views` and `responses`. It knows neither jobs nor surveys: their
rules and counts are handed to it as values.
"""
