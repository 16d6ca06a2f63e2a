"""Built-in recipes: files such as a user would write, loaded in the same way."""
