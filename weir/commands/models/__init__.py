"""Models: training, importing, evaluating, promoting, and the policy."""
