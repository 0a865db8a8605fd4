"""What people say and feel: which texts there are, what they show, and what of it was known when."""
