"""Bases of publishers that write one file after the other (`rotating`), or one file that grows (`appending`).

Behind a journal each object is written once: `found_objects` and `found_bytes` recognise what is in the files already.
"""
