"""What stands on the page, one panel a file: each is built once and then brought up to date."""
