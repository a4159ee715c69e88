"""The paper's own facts: every network that it trains, and every figure that it prints."""
