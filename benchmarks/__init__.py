"""Measurements: ratios against other ways to do the same, in one run. Never part of the tests."""
