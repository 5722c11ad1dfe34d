"""What waits, in which order, and why: for those who wait, and for those who look after the service."""
