"""What etviz is measured against."""
