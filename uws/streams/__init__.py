"""Live news of jobs: server-sent events, to any number of clients by two threads."""
