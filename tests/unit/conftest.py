"""What all unit tests share."""

from hypothesis import settings

# The first call of a kernel compiles it, which says nothing about how long a test takes.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
