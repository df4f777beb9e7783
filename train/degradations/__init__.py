"""Clean picture in, rainy picture out."""
