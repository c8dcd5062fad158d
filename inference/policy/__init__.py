"""The policy: from a model's answers to approve, review or decline, and its floor."""
