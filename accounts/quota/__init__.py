"""Quotas: what accounts and groups may use, what they have used, and what their jobs have reserved.

One ledger in the database counts both. Jobs reserve in the transaction that runs them, and are settled when
they have ended; cutouts that are made at once are counted in memory, and written down each second.
"""
