"""How good explanations are: fidelity over many events, exact and sampled Shapley values."""
