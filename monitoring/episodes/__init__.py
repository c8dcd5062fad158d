"""Episodes: what is said of a change, where that stands, and what it means for retraining."""
