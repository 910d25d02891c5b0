"""The page of the product: its documents, its HTML, and what it says in words."""
