"""REST by a table of routes, from which both the server and its OpenAPI document are made.

`routes` is the table, `openapi` the document, `guard` says who may ask, `wrong_tokens` slows down who guesses,
`token_file` keeps the token, `app` answers over starlette, with `sockets` for WebSockets and `files` for a page;
`server` runs that in an event loop over uvicorn. Both libraries come with the extra ``rawdaq[web]`` and are imported
when used.
"""
