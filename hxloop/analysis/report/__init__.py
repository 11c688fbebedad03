"""The page of an analysis, and its figures."""
