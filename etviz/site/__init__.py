"""The explorer as static files, or as one file: the descent is computed in the visitor's browser."""
