"""Tests of Soda Fountain."""
