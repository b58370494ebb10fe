"""The journal of a component: what its receiver published, on disk, before it is delivered.

`entries` turns packets into entries of a store and back, without I/O; `reader` gives the packets of a journal to other
processes; `report` says how far its cursors are. What a running component does with it stands in `delivery.journal`.
"""
