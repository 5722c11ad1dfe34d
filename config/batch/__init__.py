"""A list of targets by the command line, at any service: estimate, submit, wait, download, sum up.

It speaks HTTP alone: what a service is asked is what anybody may ask. `command` has the options, `run` the
way through; `service` and `job` are the other side, `download`, `files` and `archive` bring the files,
`memory` is what lets an interrupted run go on, and `screen` is what people see.
"""
