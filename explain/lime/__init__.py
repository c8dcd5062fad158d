"""LIME as a constant operator: perturbation design, model queries, attributions, fidelity."""
