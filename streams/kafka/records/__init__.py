"""Records in and out: consuming, publishing, and the control topic."""
