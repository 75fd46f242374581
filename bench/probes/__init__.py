"""How cost is measured: time, memory, and the machine they were measured on."""
