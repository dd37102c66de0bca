"""What outlives a process and is shared by both slots: jobs, keys of operations, events and presence."""
