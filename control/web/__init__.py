"""``control-rawdaq web``: what a browser, or any program, sees of the components of this machine, and may have them do.

`models` and `messages` are every JSON that leaves or enters; ``docs/web.md`` describes each path and the form of
samples. The files of the page are in ``page/``.
"""
