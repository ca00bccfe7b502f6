"""What evaluates a graph that others saved: its limits, its pure operations, what is said when it is damaged."""
