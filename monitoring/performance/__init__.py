"""How well decisions turn out: by daily cohort with matured labels, and estimated without labels."""
