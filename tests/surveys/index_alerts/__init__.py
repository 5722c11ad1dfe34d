"""Tests of the index of alerts."""
