"""Option files of BasicSR, checked before anything starts; their JSON Schema and what may stand in them."""
