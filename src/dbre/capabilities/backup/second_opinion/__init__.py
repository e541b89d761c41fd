"""What a repository that another tool keeps is really worth."""
