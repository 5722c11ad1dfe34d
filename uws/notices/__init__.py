"""Notices: mails and webhooks that tell what became of a job, at most one for each job and event."""
