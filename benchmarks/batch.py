"""Compare one token of several conversations at once: python -m benchmarks.batch --help."""

from benchmarks.speed import main

if __name__ == "__main__":
    main("batch")
