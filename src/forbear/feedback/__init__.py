"""What mail servers, providers and people send back: bytes become feedback events.

Pure parsers. Nothing here stores or acts, asks a clock or a network, or checks the seal of a token. Whatever the bytes
are, the only error is `TooLarge`, which names the limit that was passed.
"""
