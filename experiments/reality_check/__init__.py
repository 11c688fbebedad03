"""How much of an accuracy is the recipe, and how much the chip."""
