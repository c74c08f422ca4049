"""The data types that analysis returns."""
