"""Changes that end by themselves, and the stop that keeps all others from beginning. Imports incidents, record and catalog."""
