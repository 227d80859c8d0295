"""Builders, peers and hostile inputs shared by the tests."""
