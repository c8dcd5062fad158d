"""The control topic: who commands which model and policy shall answer, what stands, who reports."""
