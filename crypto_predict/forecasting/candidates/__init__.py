"""Point forecasts: the candidate models, Prophet among them, and how they are combined."""
