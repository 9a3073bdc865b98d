"""What the services of Alert Hub share, and the tools on top of them."""
