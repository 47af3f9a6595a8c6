"""The models: what training fits, and monitoring fits again; scikit-learn here, ONNX once stored.

`trees` is the challenger, `baselines` what it must beat; `onnx_export` stores a fitted model in a
form that cannot run code and proves it equal, `pictures` plots it.
"""
