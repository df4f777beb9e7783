"""The commands of the program, one file each: options -> one dataclass -> one call."""
