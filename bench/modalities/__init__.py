"""What is true of a kind of data: how it is stored, read, checked, shown."""
