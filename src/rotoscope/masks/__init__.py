"""Masks in every form they are kept, written or read: run-length code, label maps, soft maps and result files."""
