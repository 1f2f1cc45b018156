"""The conversation of the Chat tab, apart from its layout: values, handlers and what they show."""
