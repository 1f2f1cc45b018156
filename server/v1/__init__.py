"""The address /v1, as clients of OpenAI's API expect it."""
