"""Compare the reading of a prompt: python -m benchmarks.prefill --help."""

from benchmarks.speed import main

if __name__ == "__main__":
    main("prefill")
