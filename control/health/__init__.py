"""What a problem is and how bad it is: the one rule that ``status``, web page, metrics, alarms and doctor use.

`rule` judges the JSON that ``status`` shows, with the time as an argument; `problem` has the values, `disks` adds what
only a look at the disks shows.
"""
