"""The page of a job: how far it is, what has come of it row by row, and what can be done with it."""
