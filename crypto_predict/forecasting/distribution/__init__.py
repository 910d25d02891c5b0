"""How far the price may go: volatility, the 80 % interval, the bands around a curve."""
