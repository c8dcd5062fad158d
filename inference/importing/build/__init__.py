"""Building a package from a foreign model that passed the checks."""
