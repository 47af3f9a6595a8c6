"""One model behind the model servers of the field, each as its documentation has it.

`risk_model` loads the model for all of them. A server that is not in requirements.lock runs in an
environment of its own (`make peers`), so it imports nothing of the project. `launch`, `ways` and
`rounds` are the benchmark's side: how each is started, what it is sent, and when.
"""
