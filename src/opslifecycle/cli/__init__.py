"""The command line: runs commands as operations of a registry. Needs the extra `cli`."""
