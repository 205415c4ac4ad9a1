"""What the routes share and what lives longer than a request."""
