"""Where Expert keeps what must not be lost: blobs named by their hash, one database, one lock.

Import the module you need: `store` ties the rest together.
"""
