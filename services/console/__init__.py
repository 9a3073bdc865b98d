"""The operations office's web application and its HTTP backend."""
