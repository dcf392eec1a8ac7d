"""A synthetic abdominal CT with labels, for tests and as the sample case."""
