"""The join stage: an event's parts brought together and answered in the order of the source."""
