"""Composition: settings, the application, the command line. It imports everything; nothing imports it."""
