"""The bytes of one file become facts, hashes and upright pixels."""
