"""The use case of this checkout: `chosen` reads its name in configs/usecase.yaml.

`every_config` reads all configs before anything runs, those of the use case included.
"""
