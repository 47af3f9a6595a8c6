"""Layer one: is the service up, fast and fed, and who is told when it is not."""
