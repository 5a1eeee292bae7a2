"""How a result is printed: each file prints one kind of thing, for a person or as one JSON object."""
