"""How well decisions turn out: by daily cohort with matured labels, or estimated without them."""
