"""The command line's tools: console, exit codes, dates, views of explanations and letters."""
