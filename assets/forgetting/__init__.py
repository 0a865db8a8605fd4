"""Forgetting: what a person or a rule asks for leaves the whole home, and a search proves it."""
