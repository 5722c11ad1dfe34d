"""Looks at files of jobs without fetching them: small pictures, and headers."""
