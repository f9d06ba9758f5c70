"""Forbear decides whether a message may be sent to an address, and keeps that answer."""

__version__ = "0.1.0"
