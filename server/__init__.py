"""What is served beside the page: routes for programs, limits, health, and how it all starts.

Everything enters Gradio's own server through `launch`, so a laptop, a container and a Space
start the same way.
"""
