"""People and programs talk to running components, and look at what they send."""
