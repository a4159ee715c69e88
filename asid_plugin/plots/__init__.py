"""Pictures of figures: their common look, and the curves of trainings."""
