"""Stamps of alerts by the call that users of a broker know."""
