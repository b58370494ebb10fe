"""What is done with streams on their way: statistics, putting in order what a network mixed up, and decimation.

`decimation` publishes decimated streams beside the others, `decimator` is its filter; `assembly` makes readouts of parts.
"""
