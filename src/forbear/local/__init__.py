"""Everything on one machine: the embedded PostgreSQL of a data folder, who holds it, and `forbear start`.

It must not know what is in the list: `bootstrap` sets that up, and the doors are programs of their own.
"""
