"""A page in the browser on which pictures are enlarged."""
