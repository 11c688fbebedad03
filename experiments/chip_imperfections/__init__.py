"""What real chips do and the emulated one does not by default, one by one."""
