"""What a request would come to: the parse and the planner of jobs, a price learned from the past, and no job.

A request (`asked`) is planned as a job of it would be (`service`); what is found (`verdicts`, `nearest`) is
told as JSON (`document`).
"""
