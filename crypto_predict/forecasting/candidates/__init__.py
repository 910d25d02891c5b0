"""The models that forecast the price, and their combination."""
