"""The web page and its HTTP API, for one library on one machine (extra `web`)."""
