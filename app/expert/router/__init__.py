"""The router: which experts answer a request, with which parameters, and why."""
