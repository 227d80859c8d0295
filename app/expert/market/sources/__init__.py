"""Where packages come from; `base.Source` is what any kind of place must be able to do."""
