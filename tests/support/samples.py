"""The sample photos, and the model whose weights `make weights` fetches."""

from pathlib import Path

WEIGHTS = "clip-vit-base-patch16-int8"
SAMPLES = Path(__file__).parents[2] / "sample_images"
