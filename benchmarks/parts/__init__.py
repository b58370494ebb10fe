"""The parts of the benchmark, one file each.

``sections(options)`` of each file returns its tables, whose jobs measure and add rows.
"""
