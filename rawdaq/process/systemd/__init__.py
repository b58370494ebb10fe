"""What a process reports to systemd: that it is ready, alive, reloading or stopping, and how severe a log line is.

Protocols: sd_notify(3) and sd-daemon(3), written here because they are a datagram and a prefix.
"""
