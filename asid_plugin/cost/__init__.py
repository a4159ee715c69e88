"""What networks cost: parameters and multiply-adds, time and memory."""
