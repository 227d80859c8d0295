"""Training experts: adapters on a finished base, from one recipe to one package."""
