"""The JSON Schema front end.

`document` reads any draft into one form, `validator` judges values by it, `engine` translates it
for the mask engine, `stream` checks as the text grows what the engine cannot, and `contract`
puts them together.
"""
