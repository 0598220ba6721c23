"""Files of ratings: read, checked line by line, stored."""
