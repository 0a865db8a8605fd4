"""Summaries of texts: what a summariser is, the two kinds there are, and how one is measured."""
