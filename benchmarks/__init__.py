"""What is measured, and how: see the files' own first lines."""
