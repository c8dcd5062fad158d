"""For people: the analyst's sheet and the customer's letter."""
