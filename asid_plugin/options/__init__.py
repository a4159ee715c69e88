"""Option files of BasicSR, checked before anything starts; their JSON Schema and their keys."""
