"""What is wrong with a connection: brokers that are away, and what the client says of them."""
