"""What a station file may say, for people.

On a terminal for one class or block, and as the Markdown of ``docs/reference``; both from `rawdaq.config.describe`.
"""
