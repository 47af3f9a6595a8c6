"""The models that training fits and monitoring refits: scikit-learn in memory, ONNX on disk.

`trees` is the challenger, `baselines` are the models it must beat; `onnx_export` stores a fitted
model in a form that cannot run code and proves it equal, `pictures` plots it.
"""
