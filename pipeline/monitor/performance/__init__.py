"""Layer three: model performance, as labels arrive late, twice, or corrected."""
