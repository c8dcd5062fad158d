"""Tree ensembles of any trainer as plain arrays, and the forms in which they are answered."""
