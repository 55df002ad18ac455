"""From models to numbers: scores, paired tests, features, costs, and what they depend on."""
