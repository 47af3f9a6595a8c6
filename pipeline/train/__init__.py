"""Features become a challenger, the baselines that it must beat, and a run with its lineage.

`train` is the stage; `baselines` fits what a challenger must beat, `onnx_export` stores a model
in a form that cannot run code and proves it equal, `pictures` plots it.
"""
