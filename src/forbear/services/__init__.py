"""Use cases: one public verb each, usually one transaction. The doors translate a protocol into one of these calls."""
