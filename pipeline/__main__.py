"""`python -m derain.pipeline`."""

from derain.pipeline.cli import main

main()
