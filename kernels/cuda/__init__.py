"""The operators on NVIDIA GPUs: CUDA sources, compiled by NVRTC on first use, and their calls."""
