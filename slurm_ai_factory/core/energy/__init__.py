"""Energy and water: what meters measured, and which runs it was for."""
