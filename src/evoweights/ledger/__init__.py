"""What a run costs, and what its operators are worth: counting, measuring and summing up."""
