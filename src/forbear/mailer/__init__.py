"""Sending mail: what a message says in somebody's language, its form, and the way to the upstream mail server.

It knows neither PostgreSQL nor keys, and nothing here logs an address or repeats what a server said.
"""
