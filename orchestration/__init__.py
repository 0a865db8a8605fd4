"""Assembles the platform: definitions, jobs, schedules, the command line."""
