"""The trainer's process from outside and inside: how it is started, its device, its lock, what it tells, when it stops."""
