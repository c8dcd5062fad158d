"""Sheet and letter as pages to print: HTML and PDF, A4."""
