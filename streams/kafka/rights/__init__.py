"""Rights: the ACLs that each process needs, and whether it has them."""
