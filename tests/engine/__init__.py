"""The engine of the page's own browser, driven from Python: the same questions to both."""
