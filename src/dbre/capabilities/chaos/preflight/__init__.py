"""What has to be so before anything is broken."""
