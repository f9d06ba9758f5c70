"""The bulk path: rows of a send list by the thousand. No I/O: bytes and arrays in, bytes and arrays out."""
