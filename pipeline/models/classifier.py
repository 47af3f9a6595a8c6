"""The classifier that training fits and monitoring refits; another one is chosen here alone.

`fit(config, names, inputs, labels)`: `inputs` is float32 (rows, names), NaN where missing. It
returns a scikit-learn classifier whose conversion to ONNX `onnx_export.save` proves equal.
"""

from pipeline.models.trees import boosting

fit = boosting
