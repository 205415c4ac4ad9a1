"""The families of backbones, one file each. A new one is a record in a file here, and a line in the tuple below."""

from __future__ import annotations

from vitsearch.backbones.families import beit, clip, dino, siglip, vit, windows

FAMILIES = {
    family.model_type: family
    for module in (vit, dino, beit, clip, siglip, windows)
    for family in module.FAMILIES
}
