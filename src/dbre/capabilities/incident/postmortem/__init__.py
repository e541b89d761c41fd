"""What is learned of an incident: a draft from what is known, revisions, review, and an export without secrets."""
