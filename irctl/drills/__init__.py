"""Practice: faults that are made, found, mended and taken away again. Imports orders and what orders imports."""
