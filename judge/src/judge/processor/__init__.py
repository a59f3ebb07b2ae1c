"""How `judge run` sends requests: limits, attempts, what is in flight, and what is kept of the answers."""
