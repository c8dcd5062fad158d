"""What all stages share: messages between them, topic names, consumed rows, a step's outcome."""
