"""``python -m weir``."""

from weir.main import main

main()
