"""From a receiver to its publishers: a bounded queue and a worker for each, records made once per format.

`fanout` is the entrance; `queue`, `worker`, `records` and `selection` are its parts; `items` says what may wait.
"""
