"""From numbers to pages: Python prepares plain data, and the templates hold the sentences."""
