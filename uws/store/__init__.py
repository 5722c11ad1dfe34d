"""The only modules that query the tables of jobs.

`jobs` is what a client does with a job, `claims` what a worker does with a task, `upkeep` what time does.
"""
