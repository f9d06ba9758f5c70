"""Tests, by what must be running for them."""
