"""Independent references: numpy float64, written from the equations, slow on purpose."""
