"""What a fault is: its schedule, its dice, its guard, its receipt, and the state that holds all faults. Pure."""
