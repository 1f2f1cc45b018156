"""Compare the reading of tokens one by one, as in writing: python -m benchmarks.decode --help."""

from benchmarks.speed import main

if __name__ == "__main__":
    main("decode")
