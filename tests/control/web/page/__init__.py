"""The page of the web server, in a browser."""
