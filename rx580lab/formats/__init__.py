"""Bytes <-> arrays: files that others wrote, checked before anything is made of them.

Nothing here executes what it reads.
"""
