"""The services of Alert Hub. No service imports another."""
