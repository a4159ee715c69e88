"""A web page that enlarges pictures."""
