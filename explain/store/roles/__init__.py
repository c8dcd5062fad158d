"""PostgreSQL's roles: who may do what with the store, and the functions that log it."""
