"""Does it help the machine that looks? What still is seen on clean, rainy and restored frames."""
