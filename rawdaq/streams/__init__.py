"""What is done with streams on their way: statistics, putting in order what a network mixed up, and decimation.

`decimation` publishes decimated streams beside the others; `assembly` makes readouts of what many senders measured.
"""
