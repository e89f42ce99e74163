"""Trade: documents, what they mean together, and what each side checks before it believes or signs."""
