"""The page about jobs: whose they are, how far they are, and what can be done to several at once."""
