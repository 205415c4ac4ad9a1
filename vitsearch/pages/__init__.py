"""Pictures and HTML files made from results."""
