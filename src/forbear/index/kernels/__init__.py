"""Compiled loops: bytes and numbers in, numbers out, without the interpreter's lock.

Each is compiled at its first call and kept in a cache on disk; `forbear.index.warming` calls them all beforehand.
They check no bounds: what they are given must fit, and the modules that call them see to it.
"""
