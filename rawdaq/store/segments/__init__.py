"""What is in the segments of a store: their indexes, finding by position, stream and time, and reading."""
