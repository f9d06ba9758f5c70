"""Forbear decides whether a message may be sent to an address, and keeps that answer."""
