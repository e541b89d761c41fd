"""What is kept and what is deleted: rules, the plan with a reason for every object, findings on it."""
