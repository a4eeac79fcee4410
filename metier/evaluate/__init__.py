"""How good a run is, how sure that is, and the page that says so.

Nothing here knows tensors: it judges `Prediction`s against gold targets through the `Task` interface.
"""
