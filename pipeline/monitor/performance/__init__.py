"""Layer three: what the answers were worth, as labels arrive late, twice, or corrected."""
