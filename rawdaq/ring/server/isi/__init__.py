"""Speaks ISI with clients: data of windows of time and what follows, and reports on what there is."""
