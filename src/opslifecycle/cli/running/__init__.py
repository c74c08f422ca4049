"""Running commands: the processes, their output, and their operations in a registry."""
