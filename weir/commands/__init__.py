"""The commands of `weir`: a file each, or one for each group."""
