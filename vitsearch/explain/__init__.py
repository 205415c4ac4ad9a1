"""What a model looked at in a photo: attention maps, and pictures of them over the photo."""
