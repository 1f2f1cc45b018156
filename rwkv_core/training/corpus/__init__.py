"""Write the stories and small talk that the shipped model learns from."""
