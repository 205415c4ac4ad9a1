"""Backbones: which models exist, where their weights come from, how pixels become unit vectors."""
