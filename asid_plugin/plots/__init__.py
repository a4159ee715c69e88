"""The common style of figures, and curves of trainings."""
