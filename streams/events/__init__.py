"""Events and labels: the contract, decoding JSON into columns, and why a record is rejected."""
